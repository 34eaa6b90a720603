/** Standard normal distribution function: complementary error function by its continued fraction and series. */
export function normalCdf(x: number): number {
  const t = Math.abs(x);
  if (t > 38) return x > 0 ? 1 : 0;
  const density = Math.exp(-0.5 * t * t) / Math.sqrt(2 * Math.PI);
  let tail: number;
  if (t < 3) {
    let term = t;
    let sum = t;
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum) && k < 200; k += 2) {
      term *= (t * t) / k;
      sum += term;
    }
    tail = 0.5 - density * sum;
  } else {
    let fraction = 0;
    for (let k = 60; k >= 1; k--) fraction = k / (t + fraction);
    tail = density / (t + fraction);
  }
  return x > 0 ? 1 - tail : tail;
}

/** Inverse of `normalCdf` on (0, 1), by bisection: exact to double precision and free of coefficient tables. */
export function normalQuantile(probability: number): number {
  let low = -38;
  let high = 38;
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

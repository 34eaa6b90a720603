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

/**
 * Quantile of Student's t for probabilities from one half: its expansion about the normal (Fisher and Cornish 1960), or
 * with few degrees of freedom by bisection on the integral of a power of a cosine, by Simpson's rule.
 */
export function studentQuantile(probability: number, freedom: number): number {
  return freedom > 20 ? expandedQuantile(probability, freedom) : bisectedQuantile(probability, freedom);
}

function expandedQuantile(probability: number, freedom: number): number {
  const z = normalQuantile(probability);
  return (
    z +
    (z ** 3 + z) / (4 * freedom) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)
  );
}

function bisectedQuantile(probability: number, freedom: number): number {
  // The angle atan(t / sqrt(freedom)) has a density proportional to cos^(freedom - 1).
  const steps = 512;
  const area = (to: number): number => {
    const width = to / steps;
    let sum = 1 + Math.cos(to) ** (freedom - 1);
    for (let step = 1; step < steps; step++)
      sum += (step % 2 === 1 ? 4 : 2) * Math.cos(step * width) ** (freedom - 1);
    return (sum * width) / 3;
  };
  const wanted = (2 * probability - 1) * area(Math.PI / 2);
  let [low, high] = [0, Math.PI / 2];
  for (let halving = 0; halving < 50; halving++) {
    const middle = (low + high) / 2;
    if (area(middle) < wanted) low = middle;
    else high = middle;
  }
  return Math.sqrt(freedom) * Math.tan((low + high) / 2);
}

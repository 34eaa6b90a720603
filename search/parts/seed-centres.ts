import { Random } from "ml-random";

/**
 * Where k-means begins (k-means++, Arthur and Vassilvitskii 2007, the best of some trials for each centre): for every seed the same
 * centres, to the bit, as ml-kmeans chooses. That one copies two rows for each distance, which took longer than all that follows.
 *
 * @param points distinct from each other in more than `count` cases
 */
export function seedCentres(points: readonly number[][], count: number, seed: number): number[][] {
  const random = new Random(seed);
  const trials = 2 + Math.floor(Math.log(count));
  const centres = [points[random.randInt(points.length)]!];
  let gaps = gapsTo(centres[0]!, points, null);
  for (let chosen = 1; chosen < count; chosen++) {
    const whole = 1 / total(gaps);
    const probabilities = Array.from(gaps, (gap) => gap * whole);
    const tried: number[] = random.choice(points.length, { replace: true, size: trials, probabilities });
    let best = { centre: centres[0]!, gaps, left: Number.POSITIVE_INFINITY };
    for (const place of tried) {
      const nearer = gapsTo(points[place]!, points, gaps);
      const left = total(nearer);
      if (left < best.left) best = { centre: points[place]!, gaps: nearer, left };
    }
    centres.push(best.centre);
    gaps = best.gaps;
  }
  return centres;
}

/** Squared distance of every point to a centre, or what it was to others where that is less. */
function gapsTo(centre: readonly number[], points: readonly number[][], before: Float64Array | null) {
  const gaps = new Float64Array(points.length);
  for (const [place, point] of points.entries()) {
    let sum = 0;
    for (let axis = 0; axis < centre.length; axis++) {
      const apart = centre[axis]! - point[axis]!;
      sum += apart * apart;
    }
    gaps[place] = before === null ? sum : Math.min(before[place]!, sum);
  }
  return gaps;
}

function total(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

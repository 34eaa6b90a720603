import { kmeans } from "ml-kmeans";
import type { CandidateId } from "../../src/core/ids.ts";
import type { RngStream } from "../../src/core/rng.ts";
import { rowOf, type Tensor } from "../../src/core/tensor.ts";
import { rowsById } from "./order.ts";
import { seedCentres } from "./seed-centres.ts";

export interface Clustering {
  /** One row per cluster, ascending: exactly `count` of them. */
  readonly picks: readonly number[];
  /** Cluster of each row; clusters are numbered by the order of their picks. */
  readonly labels: readonly number[];
}

/**
 * K-means (k-means++ seeding) over feature vectors, keeping of each cluster the member nearest its centre.
 *
 * Candidates are taken in the order of their ids, so permuting the batch permutes the result; equal distances go to
 * the lowest id. With no more distinct vectors than clusters there is nothing to cluster: one of each is kept. Places
 * that stay empty, then or because a cluster lost all members, go to the candidates farthest from those kept
 * (farthest first, ties to the lowest id).
 *
 * @param features [candidates, dim], finite
 * @param count    clusters, 1 <= count <= candidates
 * @throws RangeError for a count outside the candidates or a vector that is not finite
 */
export function clusterCentres(
  ids: readonly CandidateId[],
  features: Tensor,
  count: number,
  stream: RngStream,
): Clustering {
  if (!Number.isInteger(count) || count < 1 || count > ids.length) {
    throw new RangeError(`cannot make ${count} clusters of ${ids.length} candidates`);
  }
  const order = rowsById(ids);
  const points = order.map((row) => Array.from(rowOf(features, row)));
  const bad = points.findIndex((point) => !point.every(Number.isFinite));
  if (bad >= 0) throw new RangeError(`features of candidate ${ids[order[bad]!]} are not finite`);
  // Nothing tells them apart, as in every dry run: the first ones, without a distance measured.
  if (points.every((point) => sameVector(point, points[0]!))) {
    const picks = order.slice(0, count).sort((a, b) => a - b);
    return { picks, labels: ids.map(() => 0) };
  }
  const kept = fill(points, count > 1 ? representatives(points, count, stream) : [medoid(points)], count);
  const picks = kept.map((place) => order[place]!).sort((a, b) => a - b);
  const centres = picks.map((row) => rowOf(features, row));
  const labels = ids.map((_, row) => nearest(rowOf(features, row), centres));
  return { picks, labels };
}

function sameVector(a: readonly number[], b: readonly number[]): boolean {
  return a.every((value, axis) => value === b[axis]);
}

/** Places of the members nearest the centres of a k-means clustering; at most `count`. */
function representatives(points: readonly number[][], count: number, stream: RngStream): number[] {
  const seen = new Set<string>();
  const distinct = points.flatMap((point, place) => {
    const key = point.join(",");
    if (seen.has(key)) return [];
    seen.add(key);
    return [place];
  });
  if (distinct.length <= count) return distinct;
  const seed = Math.floor(stream.uniform(0) * 2 ** 31);
  const { clusters, centroids } = kmeans(points as number[][], count, {
    initialization: seedCentres(points, count, seed),
  });
  return centroids.flatMap((centre, cluster) => {
    const members = points.flatMap((_, place) => (clusters[place] === cluster ? [place] : []));
    return members.length === 0 ? [] : [closest(points, members, centre)];
  });
}

/** The point nearest the mean of all. */
function medoid(points: readonly number[][]): number {
  const mean = points[0]!.map(
    (_, axis) => points.reduce((sum, point) => sum + point[axis]!, 0) / points.length,
  );
  return closest(
    points,
    points.map((_, place) => place),
    mean,
  );
}

function closest(points: readonly number[][], members: readonly number[], centre: ArrayLike<number>): number {
  return members.reduce((best, place) =>
    squaredDistance(points[place]!, centre) < squaredDistance(points[best]!, centre) ? place : best,
  );
}

function nearest(point: ArrayLike<number>, centres: readonly ArrayLike<number>[]): number {
  const distances = centres.map((centre) => squaredDistance(point, centre));
  return distances.indexOf(Math.min(...distances));
}

/** Adds the points farthest from those kept until there are `count`. */
function fill(points: readonly number[][], kept: readonly number[], count: number): number[] {
  if (kept.length >= count) return [...kept];
  const all = [...kept];
  // Distance to the nearest kept point; -1 marks the kept ones themselves.
  const gaps = points.map(() => Number.POSITIVE_INFINITY);
  const keep = (chosen: number): void => {
    points.forEach((point, place) => {
      gaps[place] = Math.min(gaps[place]!, squaredDistance(point, points[chosen]!));
    });
    gaps[chosen] = -1;
  };
  kept.forEach(keep);
  while (all.length < count) {
    const farthest = gaps.indexOf(gaps.reduce((a, b) => Math.max(a, b)));
    all.push(farthest);
    keep(farthest);
  }
  return all;
}

export function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let axis = 0; axis < a.length; axis++) sum += (a[axis]! - b[axis]!) ** 2;
  return sum;
}

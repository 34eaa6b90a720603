import fc from "fast-check";
import { kmeans } from "ml-kmeans";
import { describe, expect, it } from "vitest";
import { updateBeliefs } from "../../search/parts/calibrate.ts";
import { clusterCentres } from "../../search/parts/cluster.ts";
import { topRows } from "../../search/parts/order.ts";
import { potential } from "../../search/parts/potentials.ts";
import { RESAMPLINGS, resample } from "../../search/parts/resample.ts";
import { mapToScales, resolvePlaces } from "../../search/parts/schedule.ts";
import { seedCentres } from "../../search/parts/seed-centres.ts";
import {
  DIVERSITY_RULES,
  dppGreedy,
  selectDiverse,
  similarityMatrix,
} from "../../search/parts/select-diverse.ts";
import {
  effectiveSampleSize,
  lambdaForEss,
  logSumExp,
  logWeights,
  normalise,
  standardise,
} from "../../search/parts/weights.ts";
import { releasedWeights } from "../../search/tts-var-released.ts";
import { compareIds } from "../../src/core/ids.ts";
import { createRng } from "../../src/core/rng.ts";
import { calibration } from "./support/search-run.ts";

const stream = (seed: number) => createRng(seed, "parts").stream("select", "test", 0);
const idsOf = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`);
const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const batch = fc.array(finite, { minLength: 1, maxLength: 20 });

function shuffled<T>(items: readonly T[], seed: number): number[] {
  const draws = stream(seed);
  return items.map((_, index) => index).sort((a, b) => draws.uniform(a) - draws.uniform(b));
}

function tensor(rows: readonly (readonly number[])[]) {
  return { dims: [rows.length, rows[0]!.length], data: Float32Array.from(rows.flat()) };
}

describe("order", () => {
  it("orders lineages naturally", () => {
    expect(["c10", "c2", "c2.10", "c2.9", "c2.9.1"].sort(compareIds)).toEqual([
      "c2",
      "c2.9",
      "c2.9.1",
      "c2.10",
      "c10",
    ]);
  });

  it("breaks ties by the lowest id, wherever it stands in the batch", () => {
    expect(topRows(["c3", "c1", "c2"], [1, 1, 1], 2)).toEqual([1, 2]);
  });
});

describe("weights", () => {
  it("agrees with directly computed numbers", () => {
    expect(logSumExp([0, Math.log(3)])).toBeCloseTo(Math.log(4), 12);
    expect([...normalise(logWeights([0, 1], Math.log(3)))]).toEqual(
      [0.25, 0.75].map((w) => expect.closeTo(w, 12)),
    );
    expect(effectiveSampleSize([0.5, 0.25, 0.25])).toBeCloseTo(1 / 0.375, 12);
    expect([...standardise([1, 2, 3])]).toEqual(
      [-Math.sqrt(1.5), 0, Math.sqrt(1.5)].map((z) => expect.closeTo(z, 12)),
    );
  });

  it("keeps weights normalised and their effective size in range for any scores and lambda", () => {
    fc.assert(
      fc.property(batch, fc.constantFrom(0, 1e-6, 1, 10, 1e6, 1e300), (scores, lambda) => {
        const weights = normalise(logWeights(scores, lambda));
        const size = effectiveSampleSize(weights);
        expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 9);
        expect(size).toBeGreaterThanOrEqual(1 - 1e-9);
        expect(size).toBeLessThanOrEqual(scores.length + 1e-9);
      }),
    );
  });

  it("gives everything to the tied best at lambda 1e6, and equal weights to equal scores", () => {
    expect([...normalise(logWeights([0.1, 0.3, 0.3], 1e6))]).toEqual([0, 0.5, 0.5]);
    expect([...normalise(logWeights([4, 4, 4, 4], 1e6))]).toEqual([0.25, 0.25, 0.25, 0.25]);
  });

  it("finds the lambda of a wanted effective size, whatever the unit of the reward", () => {
    const scores = [0.1, 0.4, 0.45, 0.9, 1.3, 1.31];
    for (const share of [0.3, 0.5, 0.9]) {
      const lambda = lambdaForEss(scores, share);
      expect(effectiveSampleSize(normalise(logWeights(scores, lambda)))).toBeCloseTo(
        share * scores.length,
        6,
      );
      expect(
        lambdaForEss(
          scores.map((score) => score * 1000),
          share,
        ) * 1000,
      ).toBeCloseTo(lambda, 6);
    }
    expect(lambdaForEss([2, 2, 2], 0.5)).toBe(0);
  });

  it("reproduces the published code's repairs", () => {
    expect(releasedWeights([100, 100, 1], 10)).toEqual([0.5, 0.5, 0]);
    expect(releasedWeights([-100, -200], 10)).toEqual([0.5, 0.5]);
    expect(releasedWeights([0, Math.log(3) / 10], 10)).toEqual([0.25, 0.75].map((w) => expect.closeTo(w, 6)));
  });
});

describe("potentials", () => {
  it("values a history by the paper's definitions", () => {
    const history = [0.5, 2, 1.25];
    expect(potential("value", history)).toBe(1.25);
    expect(potential("diff", history)).toBe(-0.75);
    expect(potential("diff", [0.5])).toBe(0.5);
    expect(potential("sum", history)).toBe(3.75);
    expect(potential("max", history)).toBe(2);
    expect(potential("top-q", history, 2)).toBe(3.25);
  });
});

describe("resampling", () => {
  const weights = [0.05, 0.3, 0.12, 0.4, 0.13];
  const logs = weights.map(Math.log);
  const ids = idsOf(weights.length);
  const copies = (picks: readonly number[]) =>
    weights.map((_, row) => picks.filter((pick) => pick === row).length);

  it.each(RESAMPLINGS.filter((kind) => kind !== "gumbel"))("%s is unbiased", (kind) => {
    const trials = 4000;
    const count = 7;
    const totals = new Array<number>(weights.length).fill(0);
    for (let trial = 0; trial < trials; trial++) {
      copies(resample(kind, ids, logs, count, stream(trial))).forEach((n, row) => {
        totals[row]! += n;
      });
    }
    totals.forEach((total, row) => {
      const expected = count * weights[row]!;
      // Five standard errors of the mean under multinomial variance, the largest of the four.
      const error = 5 * Math.sqrt((count * weights[row]! * (1 - weights[row]!)) / trials);
      expect(Math.abs(total / trials - expected)).toBeLessThan(error);
    });
  });

  it("keeps systematic and residual copies within one of their expectation", () => {
    fc.assert(
      fc.property(batch, fc.integer({ min: 1, max: 30 }), fc.nat(), (scores, count, seed) => {
        const soft = standardise(scores);
        const shares = normalise(soft);
        const names = idsOf(scores.length);
        for (const kind of ["systematic", "residual"] as const) {
          const picks = resample(kind, names, soft, count, stream(seed));
          expect(picks).toHaveLength(count);
          names.forEach((_, row) => {
            const drawn = picks.filter((pick) => pick === row).length;
            expect(drawn).toBeGreaterThanOrEqual(Math.floor(count * shares[row]! - 1e-6));
            if (kind === "systematic")
              expect(drawn).toBeLessThanOrEqual(Math.ceil(count * shares[row]! + 1e-6));
          });
        }
      }),
    );
  });

  it("keeps everyone once when equal weights are drawn systematically", () => {
    expect(resample("systematic", ids, [0, 0, 0, 0, 0], 5, stream(3))).toEqual([0, 1, 2, 3, 4]);
  });

  it("never repeats a candidate in Gumbel top-k while there are enough", () => {
    fc.assert(
      fc.property(batch, fc.nat(), (scores, seed) => {
        const names = idsOf(scores.length);
        const count = Math.ceil(scores.length / 2);
        const picks = resample("gumbel", names, scores, count, stream(seed));
        expect(new Set(picks).size).toBe(count);
        const more = resample("gumbel", names, scores, scores.length + 1, stream(seed));
        expect(new Set(more).size).toBe(scores.length);
      }),
    );
  });

  it.each(RESAMPLINGS)(
    "%s never draws a candidate of no weight beside others, and survives lambda 1e6",
    (kind) => {
      const scores = [0.2, 0.9, 0.5];
      const picks = resample(kind, idsOf(3), logWeights(scores, 1e6), kind === "gumbel" ? 1 : 4, stream(1));
      expect(new Set(picks)).toEqual(new Set([1]));
    },
  );

  it.each(RESAMPLINGS)("%s follows a permutation of the batch", (kind) => {
    fc.assert(
      fc.property(batch, fc.nat(), (scores, seed) => {
        const names = idsOf(scores.length);
        const soft = standardise(scores);
        const order = shuffled(names, seed);
        const plain = resample(kind, names, soft, 4, stream(seed)).map((row) => names[row]);
        const moved = resample(
          kind,
          order.map((row) => names[row]!),
          order.map((row) => soft[row]!),
          4,
          stream(seed),
        );
        expect(moved.map((row) => names[order[row]!]).sort()).toEqual(plain.sort());
      }),
      { numRuns: 40 },
    );
  });
});

describe("seedCentres", () => {
  it("chooses what ml-kmeans chooses, to the bit", () => {
    const rng = stream(3);
    for (const [count, dim] of [
      [2, 1],
      [5, 7],
      [20, 64],
    ] as const) {
      const points = Array.from({ length: 3 * count }, (_, row) =>
        Array.from({ length: dim }, (_, axis) => Math.fround(rng.uniform(row * dim + axis) - 0.5)),
      );
      for (const seed of [0, 1, 2 ** 31 - 1]) {
        const theirs = kmeans(points, count, { initialization: "kmeans++", seed });
        const ours = kmeans(points, count, { initialization: seedCentres(points, count, seed) });
        expect(ours.centroids).toEqual(theirs.centroids);
      }
    }
  });
});

describe("clusterCentres", () => {
  it("takes the first ones where nothing tells them apart", () => {
    const same = tensor([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    const found = clusterCentres(["c2", "c0", "c1"], same, 2, stream(0));
    expect(found).toEqual({ picks: [1, 2], labels: [0, 0, 0] });
  });

  const cluster = (rows: readonly (readonly number[])[], count: number, seed = 1) =>
    clusterCentres(idsOf(rows.length), tensor(rows), count, createRng(seed, "k").stream("cluster", "t", 0));

  it("finds well separated groups and keeps the member nearest each centre", () => {
    const rows = [[0], [1], [0.4], [100], [102], [100.9], [-50], [-52], [-51.1]];
    for (let seed = 0; seed < 5; seed++) {
      const { picks, labels } = cluster(rows, 3, seed);
      expect(picks).toEqual([2, 5, 8]);
      expect(labels).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }
  });

  it("keeps one of each when there are no more distinct vectors than clusters, then the lowest ids", () => {
    expect(cluster([[1], [1], [5], [1], [5]], 2).picks).toEqual([0, 2]);
    expect(cluster([[1], [1], [5], [1], [5]], 4).picks).toEqual([0, 1, 2, 3]);
    expect(cluster([[0], [0], [0]], 2).picks).toEqual([0, 1]);
  });

  it("always gives exactly as many distinct rows as asked for", () => {
    const coordinate = fc.integer({ min: -3, max: 3 });
    const points = fc.array(fc.tuple(coordinate, coordinate), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(points, fc.nat(), fc.nat(), (rows, pickCount, seed) => {
        const count = 1 + (pickCount % rows.length);
        expect(new Set(cluster(rows, count, seed).picks).size).toBe(count);
      }),
    );
  });

  it("follows a permutation of the batch", () => {
    const rows = [
      [3, 1],
      [0.2, 9],
      [3, 1.5],
      [7, 7],
      [0, 8],
      [6.5, 7.5],
    ];
    const order = [4, 2, 0, 5, 1, 3];
    const ids = idsOf(rows.length);
    const rng = createRng(5, "k").stream("cluster", "t", 0);
    const plain = clusterCentres(ids, tensor(rows), 3, rng).picks.map((row) => ids[row]);
    const names = order.map((row) => ids[row]!);
    const moved = clusterCentres(names, tensor(order.map((row) => rows[row]!)), 3, rng).picks.map(
      (row) => names[row],
    );
    expect(moved.sort()).toEqual(plain.sort());
  });

  it("refuses what it cannot cluster", () => {
    expect(() => cluster([[1], [Number.NaN]], 1)).toThrow(/c1 are not finite/);
    expect(() => cluster([[1], [2]], 3)).toThrow(/3 clusters of 2/);
    expect(() => cluster([[1], [2]], 0)).toThrow(RangeError);
  });
});

describe("selectDiverse", () => {
  const rows = [
    [0, 0],
    [0.1, 0],
    [10, 0],
    [10, 0.1],
    [0, 10],
  ];
  const ids = idsOf(rows.length);

  it.each(DIVERSITY_RULES)("%s covers the groups when quality is equal", (rule) => {
    const groups = selectDiverse(rule, ids, tensor(rows), [0, 0, 0, 0, 0], 3).map(
      (row) => [0, 0, 1, 1, 2][row],
    );
    expect(new Set(groups).size).toBe(3);
  });

  it.each(["dpp", "facility-location"] as const)("%s follows quality when it dominates", (rule) => {
    expect(selectDiverse(rule, ids, tensor(rows), [30, 30, 0, 0, 0], 2)).toEqual([0, 1]);
  });

  it("finds the determinant's greedy maximum", () => {
    const points = Array.from({ length: 7 }, (_, i) => [Math.sin(i * 2.1) * 3, Math.cos(i * 1.3) * 2]);
    const kernel = similarityMatrix(points);
    const logs = points.map((_, i) => 0.1 * i);
    const determinant = (set: readonly number[]): number =>
      logDeterminant(set.map((i) => set.map((j) => kernel[i]![j]! * Math.exp(logs[i]! + logs[j]!))));
    const chosen: number[] = [];
    for (let k = 0; k < 4; k++) {
      const left = points.map((_, i) => i).filter((i) => !chosen.includes(i));
      chosen.push(left.reduce((a, b) => (determinant([...chosen, b]) > determinant([...chosen, a]) ? b : a)));
    }
    expect(dppGreedy(kernel, logs, 4)).toEqual(chosen);
  });

  it.each(DIVERSITY_RULES)("%s follows a permutation of the batch", (rule) => {
    const point = fc.tuple(
      fc.integer({ min: -3, max: 3 }),
      fc.integer({ min: -3, max: 3 }),
      fc.integer({ min: 0, max: 2 }),
    );
    fc.assert(
      fc.property(
        fc.array(point, { minLength: 2, maxLength: 9 }),
        fc.nat(),
        fc.nat(),
        (points, pickCount, seed) => {
          const names = idsOf(points.length);
          const count = 1 + (pickCount % points.length);
          const choose = (order: readonly number[]): string[] =>
            selectDiverse(
              rule,
              order.map((row) => names[row]!),
              tensor(order.map((row) => points[row]!.slice(0, 2))),
              order.map((row) => points[row]![2]!),
              count,
            )
              .map((place) => names[order[place]!]!)
              .sort();
          expect(choose(shuffled(names, seed))).toEqual(choose(names.map((_, row) => row)));
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each(DIVERSITY_RULES)("%s gives distinct rows even for equal vectors", (rule) => {
    const same = ids.map(() => [1, 1]);
    expect(new Set(selectDiverse(rule, ids, tensor(same), [0, 0, 0, 0, 0], 4)).size).toBe(4);
  });
});

function logDeterminant(matrix: number[][]): number {
  const rows = matrix.map((row) => [...row]);
  let sum = 0;
  for (let k = 0; k < rows.length; k++) {
    sum += Math.log(rows[k]![k]!);
    for (let i = k + 1; i < rows.length; i++) {
      const factor = rows[i]![k]! / rows[k]![k]!;
      rows[i] = rows[i]!.map((value, j) => value - factor * rows[k]![j]!);
    }
  }
  return sum;
}

describe("schedule", () => {
  it("places the paper's decisions on 13, 7 and 6 scales", () => {
    const places = [2 / 12, 5 / 12, 6 / 12, 9 / 12];
    expect(resolvePlaces(places, 13, 11, "s")).toEqual([2, 5, 6, 9]);
    expect(resolvePlaces(places, 7, 5, "s")).toEqual([1, 3, 4, 5]);
    expect(resolvePlaces(places, 6, 4, "s")).toEqual([1, 2, 3, 4]);
  });

  it("refuses an index that the model does not have", () => {
    expect(() => resolvePlaces([9], 6, 4, "clusterScales")).toThrow(/clusterScales: scale 9/);
  });

  it("maps the paper's widths to fewer scales with the cuts at the same places", () => {
    const paper = [8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1, 1];
    expect(mapToScales(paper, 13)).toEqual(paper);
    expect(mapToScales(paper, 6)).toEqual([8, 6, 4, 2, 1, 1]);
    expect(mapToScales(paper, 7)).toEqual([8, 6, 6, 4, 2, 1, 1]);
  });
});

describe("calibrated scores", () => {
  const [coarse, , , fine] = calibration.scales;

  it("equals the regression's prediction after one preview", () => {
    const means = updateBeliefs(fine!, [1, 2, 6], null).map(({ mean }) => mean);
    const shrunk = [-2, -1, 3].map((centred) => fine!.slope * centred);
    means.forEach((mean, row) => {
      expect(mean).toBeCloseTo(shrunk[row]!, 9);
    });
  });

  it("ignores a preview that says nothing, and grows surer with every one that does", () => {
    const blind = { ...coarse!, correlation: 0, slope: 0 };
    expect(updateBeliefs(blind, [1, 5], null).map(({ mean }) => mean)).toEqual([0, 0]);
    const first = updateBeliefs(coarse!, [1, 5], null);
    const second = updateBeliefs(fine!, [1, 5], first);
    expect(second[0]!.variance).toBeLessThan(first[0]!.variance);
    expect(second[1]!.mean).toBeGreaterThan(second[0]!.mean);
  });
});

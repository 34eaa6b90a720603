import { describe, expect, it } from "vitest";
import { createRng } from "../../src/core/rng.ts";
import { bootstrap } from "../../src/eval/statistics/bootstrap.ts";
import { type Cell, intervals } from "../../src/eval/statistics/intervals.ts";
import { holm, signFlipP } from "../../src/eval/statistics/mcnemar.ts";
import { normalCdf, normalQuantile, studentQuantile } from "../../src/eval/statistics/normal.ts";

/** Prompts with a random success rate each: `n` per stratum, `m` images per prompt. */
function simulate(seed: string, n: number, m: number, rates: Readonly<Record<string, number>>): Cell[] {
  return Object.entries(rates).flatMap(([stratum, rate]) => {
    const draw = createRng(seed, stratum).stream("stats", "simulated", 0);
    return Array.from({ length: n }, (_, prompt) => {
      const own = Math.min(Math.max(rate + (draw.uniform(prompt) - 0.5) * 0.6, 0), 1);
      const values = Array.from({ length: m }, (_, image) =>
        Number(draw.uniform(10_000 + prompt * m + image) < own),
      );
      return { stratum, values };
    });
  });
}

describe("normal distribution", () => {
  it("matches tabulated values and its own inverse", () => {
    expect(normalCdf(0)).toBeCloseTo(0.5, 15);
    expect(normalCdf(1.959963984540054)).toBeCloseTo(0.975, 12);
    expect(normalCdf(-5)).toBeCloseTo(2.866515718791939e-7, 16);
    expect(normalQuantile(0.975)).toBeCloseTo(1.959963984540054, 10);
    for (const p of [1e-9, 0.01, 0.3, 0.5, 0.9999]) expect(normalCdf(normalQuantile(p))).toBeCloseTo(p, 12);
  });
});

describe("Student's t", () => {
  it("matches tabulated quantiles", () => {
    for (const [freedom, quantile] of [
      [1, 12.706],
      [2, 4.3027],
      [5, 2.5706],
      [20, 2.08596],
      [21, 2.07961],
      [100, 1.984],
      [500, 1.9647],
    ] as const) {
      expect(Math.abs(studentQuantile(0.975, freedom) / quantile - 1)).toBeLessThan(1e-4);
    }
  });
});

describe("intervals for new prompts", () => {
  const rates = { counting: 0.4, colors: 0.8 };
  const verdicts = { range: [0, 1] } as const;
  const differences = { range: [-1, 1] } as const;

  it("estimates the unweighted mean of strata", () => {
    const cells = [
      { stratum: "a", values: [1, 1, 1, 0] },
      { stratum: "b", values: [0, 0] },
      { stratum: "b", values: [1, 0] },
    ];
    const { byStratum, overall } = intervals(cells, verdicts);
    expect(byStratum["a"]!.estimate).toBe(0.75);
    expect(byStratum["b"]!.estimate).toBe(0.25);
    expect(overall.estimate).toBe(0.5);
  });

  it("has the width that theory gives for prompts with equal images, whatever their number", () => {
    // All images of a prompt agree, so each prompt is one Bernoulli trial: half-width 1.96 sqrt(p (1 - p) / n).
    for (const images of [1, 4]) {
      const cells = Array.from({ length: 400 }, (_, index) => ({
        stratum: "x",
        values: new Array<number>(images).fill(Number(index % 4 === 0)),
      }));
      const { low, high } = intervals(cells, verdicts).overall;
      const theory = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
      expect((high - low) / 2).toBeGreaterThan(theory);
      expect((high - low) / 2).toBeLessThan(theory * 1.03);
    }
  });

  it("cover the truth about as often as they say", () => {
    const trials = 100;
    const truth = 0.6 - 0.01 / 2.4; // clipped uniform rates around 0.4 and 0.8
    const missed = Array.from({ length: trials }, (_, trial) => {
      const { low, high } = intervals(simulate(`trial ${trial}`, 50, 2, rates), verdicts).overall;
      return truth < low || truth > high;
    }).filter(Boolean).length;
    // Binomial(100, 0.05) is above 11 with probability 0.004, and the seeds are fixed.
    expect(missed).toBeLessThanOrEqual(11);
  });

  it.each([
    ["independent", 0.03, 100],
    ["independent", 0.05, 200],
    ["independent", 0.075, 500],
    ["in few prompts", 0.05, 100],
    ["in few prompts", 0.05, 300],
    ["in one task", 0.05, 200],
  ])("hold their level for rare differences that are %s: share %d of %d prompts", (kind, share, prompts) => {
    const trials = 200;
    let missed = 0;
    for (let trial = 0; trial < trials; trial++) {
      const draw = createRng("null", `${kind} ${prompts} ${trial}`).stream("stats", "simulated", 0);
      const cells = Array.from({ length: prompts }, (_, prompt) => {
        const [here, side] = [draw.uniform(6 * prompt), draw.uniform(6 * prompt + 1)];
        const task = prompt % 6;
        const rate = {
          independent: share,
          "in few prompts": here < 0.15 ? share / 0.15 : 0,
          "in one task": task === 0 ? 6 * share : 0,
        }[kind]!;
        // Replicates of a prompt lean to the same side.
        const lean = side < 0.5 ? 0.8 : 0.2;
        const values = [2, 4].map((at) => {
          if (draw.uniform(6 * prompt + at) >= rate) return 0;
          return draw.uniform(6 * prompt + at + 1) < lean ? 1 : -1;
        });
        return { stratum: `task ${task}`, values };
      });
      const { low, high } = intervals(cells, differences).overall;
      if (low > 0 || high < 0) missed++;
    }
    // Binomial(200, 0.05) is above 17 with probability 0.01.
    expect(missed).toBeLessThanOrEqual(17);
  });

  it("are never of no width, not even for one prompt per task or for no difference at all", () => {
    const tasks = ["a", "b", "c", "d", "e", "f"];
    const one = intervals(
      tasks.map((stratum, index) => ({ stratum, values: [Number(index < 5)] })),
      verdicts,
    );
    expect(one.overall.high - one.overall.low).toBeGreaterThan(0.4);
    for (const { low, high } of Object.values(one.byStratum)) expect(high - low).toBeGreaterThan(0.4);
    const same = tasks.flatMap((stratum) => Array.from({ length: 50 }, () => ({ stratum, values: [0] })));
    const { estimate, low, high } = intervals(same, differences).overall;
    expect(estimate).toBe(0);
    // About three in n, as where an event was never seen.
    expect(high).toBeGreaterThan(2.5 / 300);
    expect(high).toBeLessThan(4 / 300);
    expect(low).toBe(-high);
    expect(intervals([{ stratum: "a", values: [1] }], verdicts).overall).toEqual({
      estimate: 1,
      low: 0,
      high: 1,
    });
  });

  it("refuse what they cannot say anything about", () => {
    expect(() => intervals([], verdicts)).toThrow(RangeError);
    expect(() => intervals([{ stratum: "x", values: [] }], verdicts)).toThrow(RangeError);
  });
});

describe("intervals for these prompts", () => {
  const options = { seed: 1, draws: 400 };

  it("are a function of data and seed, and narrower than for new prompts", () => {
    const cells = simulate("a", 40, 4, { counting: 0.4, colors: 0.8 });
    const fixed = bootstrap(cells, options);
    expect(bootstrap(cells, options)).toEqual(fixed);
    expect(bootstrap(cells, { ...options, seed: 2 }).overall).not.toEqual(fixed.overall);
    const fresh = intervals(cells, { range: [0, 1] });
    expect(fixed.overall.estimate).toBeCloseTo(fresh.overall.estimate, 12);
    expect(fixed.overall.high - fixed.overall.low).toBeLessThan(fresh.overall.high - fresh.overall.low);
  });
});

describe("paired tests", () => {
  /** Prompts of one image each: `a` right on one side only, `b` on the other. */
  const pairs = (a: number, b: number): number[] => [
    0,
    ...new Array<number>(a).fill(1),
    ...new Array<number>(b).fill(-1),
  ];

  it("are McNemar's binomial tail with one image per prompt", () => {
    expect(signFlipP(pairs(0, 0))).toBe(1);
    expect(signFlipP(pairs(1, 7))).toBeCloseTo((2 * 9) / 256, 12);
    expect(signFlipP(pairs(7, 1))).toBeCloseTo((2 * 9) / 256, 12);
    expect(signFlipP(pairs(5, 5))).toBe(1);
    expect(signFlipP(pairs(7, 2))).toBeCloseTo(0.18, 2);
    expect(signFlipP(pairs(900, 1100))).toBeCloseTo(8.4e-6, 6);
  });

  it("take the images of a prompt as one", () => {
    // Of the eight ways to sign 2, 2 and 1, the sums are +-5, +-3, +-1, +-1.
    expect(signFlipP([2, 2, 1])).toBeCloseTo(2 / 8, 12);
    expect(signFlipP([2, 2, -1])).toBeCloseTo(4 / 8, 12);
  });

  it("are multiplied by Holm by what is left, and never decrease", () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
  });
});

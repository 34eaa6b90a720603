import { describe, expect, it } from "vitest";
import { createRng } from "../../src/core/rng.ts";
import { bootstrap, type Cell } from "../../src/eval/statistics/bootstrap.ts";
import { holm, mcnemarP } from "../../src/eval/statistics/mcnemar.ts";
import { normalCdf, normalQuantile } from "../../src/eval/statistics/normal.ts";

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

describe("bootstrap", () => {
  const rates = { counting: 0.4, colors: 0.8 };
  const options = { seed: 1, scope: "new-prompts", draws: 1000 } as const;

  it("is a function of data and seed", () => {
    const cells = simulate("a", 40, 4, rates);
    expect(bootstrap(cells, options)).toEqual(bootstrap(cells, options));
    expect(bootstrap(cells, { ...options, seed: 2 }).overall).not.toEqual(bootstrap(cells, options).overall);
  });

  it("estimates the unweighted mean of strata", () => {
    const cells = [
      { stratum: "a", values: [1, 1, 1, 0] },
      { stratum: "b", values: [0, 0] },
      { stratum: "b", values: [1, 0] },
    ];
    const { byStratum, overall } = bootstrap(cells, options);
    expect(byStratum["a"]!.estimate).toBe(0.75);
    expect(byStratum["b"]!.estimate).toBe(0.25);
    expect(overall.estimate).toBe(0.5);
  });

  it("has the width that theory gives for prompts with equal images", () => {
    // All images of a prompt agree, so each prompt is one Bernoulli trial: half-width 1.96 sqrt(p (1 - p) / n).
    const cells = Array.from({ length: 400 }, (_, index) => ({
      stratum: "x",
      values: new Array<number>(4).fill(Number(index % 4 === 0)),
    }));
    const { low, high } = bootstrap(cells, options).overall;
    const theory = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
    expect((high - low) / 2).toBeGreaterThan(theory * 0.9);
    expect((high - low) / 2).toBeLessThan(theory * 1.1);
    const fixed = bootstrap(cells, { ...options, scope: "these-prompts" }).overall;
    expect([fixed.low, fixed.high], "these very prompts have no uncertainty left").toEqual([0.25, 0.25]);
  });

  it("covers the truth about as often as it says, and is wider for new prompts than for these", () => {
    let covered = 0;
    const trials = 40;
    for (let trial = 0; trial < trials; trial++) {
      const cells = simulate(`trial ${trial}`, 50, 2, rates);
      const fresh = bootstrap(cells, { ...options, draws: 400 }).overall;
      const fixed = bootstrap(cells, { ...options, draws: 400, scope: "these-prompts" }).overall;
      // The clipped uniform rates around 0.4 and 0.8 have means 0.4 and 0.8 - 0.1^2 / 1.2.
      if (fresh.low <= 0.6 - 0.01 / 2.4 && 0.6 - 0.01 / 2.4 <= fresh.high) covered++;
      expect(fresh.high - fresh.low).toBeGreaterThan(fixed.high - fixed.low);
    }
    // Binomial(40, 0.95) is below 33 with probability under 0.002, and the seeds are fixed.
    expect(covered).toBeGreaterThanOrEqual(33);
  });

  it("leans to the long side of skewed data (the point of BCa)", () => {
    const cells = Array.from({ length: 30 }, (_, index) => ({
      stratum: "x",
      values: [index === 0 ? 10 : index / 30],
    }));
    const { estimate, low, high } = bootstrap(cells, { ...options, draws: 5000 }).overall;
    expect(high - estimate).toBeGreaterThan(1.5 * (estimate - low));
  });

  it("refuses what it cannot say anything about", () => {
    expect(() => bootstrap([], options)).toThrow(RangeError);
    expect(() => bootstrap([{ stratum: "x", values: [] }], options)).toThrow(RangeError);
  });
});

describe("paired tests", () => {
  it("McNemar's exact p is the binomial tail", () => {
    expect(mcnemarP(0, 0)).toBe(1);
    expect(mcnemarP(1, 7)).toBeCloseTo((2 * 9) / 256, 12);
    expect(mcnemarP(7, 1)).toBeCloseTo((2 * 9) / 256, 12);
    expect(mcnemarP(5, 5)).toBe(1);
    expect(mcnemarP(900, 1100)).toBeCloseTo(8.4e-6, 6);
  });

  it("Holm multiplies by what is left and never decreases", () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
  });
});

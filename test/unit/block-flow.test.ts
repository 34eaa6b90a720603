import { describe, expect, it } from "vitest";
import { cellsOf, flowStep, solverTimes } from "../../src/generators/block-flow/flow.ts";
import { cellGuidance } from "../../src/generators/block-flow/settings.ts";

describe("flow by cells", () => {
  it("takes a canvas apart in reading order", () => {
    expect(cellsOf(4, 2)).toEqual([
      [0, 1, 4, 5],
      [2, 3, 6, 7],
      [8, 9, 12, 13],
      [10, 11, 14, 15],
    ]);
    expect(cellsOf(8, 4)).toHaveLength(4);
  });

  it("goes evenly from noise to .04 and then to the clean cell", () => {
    const times = solverTimes(5);
    expect(times.map((time) => Number(time.toFixed(2)))).toEqual([1, 0.76, 0.52, 0.28, 0.04, 0]);
    expect(solverTimes(1)).toEqual([1, 0]);
  });

  it("drifts as the stochastic form of the flow: v - t score = (2 - t) v + x", () => {
    const [v, x0, step] = [0.7, -0.4, -0.1];
    for (const t of [0.1, 0.5, 0.9]) {
      const score = ((1 - t) * -v - x0) / (t * t + t * (1 - t));
      const x = Float64Array.of(x0);
      flowStep(x, [v], t, t + step, () => 0);
      expect(Math.abs((x[0]! - x0) / step - (v - 0.5 * 2 * t * score))).toBeLessThan(1e-14);
    }
  });

  it("adds noise but in the last step, and none without a source of it", () => {
    const x = Float64Array.of(1);
    flowStep(x, [0], 0.5, 0.3, () => 2);
    expect(x[0]).toBeCloseTo(1 - 0.2 + 2 * Math.sqrt(2 * 0.5 * 0.2), 12);
    const last = Float64Array.of(1);
    flowStep(last, [0.5], 0.04, 0, () => 2);
    expect(last[0]).toBeCloseTo(1 - 0.04 * (1.96 * 0.5 + 1), 12);
    const euler = Float64Array.of(1);
    flowStep(euler, [0.5], 0.5, 0.3, null);
    expect(euler[0]).toBeCloseTo(0.9, 12);
  });

  it("is guided from nothing at the first cell to the whole at the last", () => {
    const settings = { steps: 4, guidance: 2.7, guidanceSchedule: "ramp", solver: "sde" } as const;
    const weights = [0, 1, 2, 3].map((cell) => cellGuidance(settings, cell, 4).toFixed(2));
    expect(weights).toEqual(["1.00", "1.57", "2.13", "2.70"]);
  });
});

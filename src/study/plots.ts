import * as Plot from "@observablehq/plot";

import type { Calibration } from "../core/calibration.ts";
import type { CostModel } from "../core/strategy.ts";
import { groupBy } from "./group-by.ts";
import { type Curve, drawPanels, panel, svg } from "./panels.ts";

import type { StudyTable } from "./study-table.ts";

/** SVG of the judge's score by units spent, one curve per arm, with intervals. */
export function plotStudy(table: StudyTable): string {
  const curves = [...groupBy(table.rows, ({ arm }) => arm)].map(([name, rows]) => ({
    name,
    points: rows
      .map(({ spent, judged }) => ({ x: spent, y: judged.estimate, low: judged.low, high: judged.high }))
      .sort((a, b) => a.x - b.x),
  }));
  return drawPanels([
    panel(curves, {
      x: { type: "log", label: "units spent", labelAnchor: "center" },
      y: { label: "judged correct" },
    }),
  ]);
}

/** SVG of arms that all have one budget: a dot with its interval for each, best first. */
export function plotArms(table: StudyTable): string {
  const rows = [...table.rows].sort((a, b) => b.judged.estimate - a.judged.estimate);
  const data = rows.map(({ arm, judged }) => ({
    arm,
    score: judged.estimate,
    low: judged.low,
    high: judged.high,
  }));
  return svg({
    x: { grid: true, inset: 6, label: "judged correct", labelAnchor: "center" },
    y: { domain: data.map(({ arm }) => arm), label: null },
    marks: [
      Plot.ruleY(data, { y: "arm", x1: "low", x2: "high" }),
      Plot.dot(data, { y: "arm", x: "score", fill: "black", r: 3 }),
    ],
    marginLeft: 190,
    height: 60 + 22 * data.length,
  });
}

/**
 * SVG of what is told of the final reward, by scale: previews and free signals rank images, distances compare two, so
 * that they have a panel each.
 */
export function plotPreviews({ previews }: StudyTable): string {
  const nameOf = ({ size, view }: StudyTable["previews"][number]): string =>
    view === "reward" ? `reward of previews, ${size}` : view;
  const curvesOf = (rows: StudyTable["previews"]): Curve[] =>
    [...groupBy(rows, nameOf)].map(([name, group]) => ({
      name,
      points: group.map(({ scale, withReward: { estimate, low, high } }) => ({
        x: scale,
        y: estimate,
        low,
        high,
      })),
    }));
  const scales = [...new Set(previews.map(({ scale }) => scale))].sort((a, b) => a - b);
  const span = [scales[0]! - 0.1, scales.at(-1)! + 0.1];
  const kinds = [
    {
      rows: previews.filter(({ size }) => size !== "pairs"),
      label: "images of a prompt: correlation with the final reward",
    },
    {
      rows: previews.filter(({ size }) => size === "pairs"),
      label: "pairs of images: correlation of distance with difference of rewards",
    },
  ].filter(({ rows }) => rows.length > 0);
  let first = 0;
  return drawPanels(
    kinds.map(({ rows, label }) => {
      const curves = curvesOf(rows);
      const drawn = panel(
        curves,
        {
          x: { domain: span, ticks: scales, tickFormat: "d", label: "after scale", labelAnchor: "center" },
          y: { label },
          marks: [Plot.ruleY([0])],
        },
        first,
        0,
      );
      first += curves.length;
      return drawn;
    }),
  );
}

/** SVG of the measured curves of a calibration, with the share of the price by scale. */
export function plotCalibration(
  curves: readonly { readonly preview: string; readonly calibration: Calibration }[],
  cost: CostModel,
): string {
  const lines = curves.flatMap(({ preview, calibration }) =>
    calibration.scales.map(({ scale, correlation }) => ({
      scale,
      value: correlation,
      curve: `correlation, preview ${preview}`,
    })),
  );
  const decided = (curves[0]?.calibration.scales ?? []).map(({ scale, decided: value }) => ({
    scale,
    value,
    curve: "variance decided",
  }));
  const total = cost.stages.reduce((sum, flops) => sum + flops, 0);
  let spent = 0;
  const price = cost.stages.map((flops, scale) => {
    spent += flops;
    return { scale, value: spent / total, curve: "transformer FLOPs so far" };
  });
  const all = [...lines, ...decided, ...price];
  return svg({
    x: { ticks: cost.stages.length, label: "scale" },
    y: { grid: true, domain: [0, 1], label: null },
    marks: [
      Plot.lineY(all, { x: "scale", y: "value", z: "curve", stroke: "curve", marker: "dot" }),
      // All curves meet at the last scale; their names stand where they are apart.
      Plot.text(
        all.filter(({ scale }) => scale === Math.floor(cost.stages.length / 2)),
        {
          x: "scale",
          y: "value",
          text: "curve",
          fill: "curve",
          textAnchor: "end",
          dx: -4,
          dy: -8,
          fontSize: 10,
        },
      ),
    ],
    marginRight: 20,
  });
}

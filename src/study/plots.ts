import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { Calibration } from "../core/calibration.ts";
import type { CostModel } from "../core/strategy.ts";
import type { StudyTable } from "./study-table.ts";

/** SVG of the judge's score by units spent, one line per arm, with intervals. */
export function plotStudy(table: StudyTable): string {
  const rows = table.rows.map(({ arm, spent, judged }) => ({
    arm,
    spent,
    score: judged.estimate,
    ...judged,
  }));
  return svg({
    x: { type: "log", label: "units spent" },
    y: { grid: true, label: "judged correct" },
    color: { legend: false, type: "categorical" },
    marks: [
      Plot.ruleX(rows, { x: "spent", y1: "low", y2: "high", stroke: "arm", strokeOpacity: 0.35 }),
      Plot.lineY(rows, { x: "spent", y: "score", z: "arm", stroke: "arm" }),
      Plot.dot(rows, { x: "spent", y: "score", fill: "arm", r: 2.5 }),
      Plot.text(
        rows,
        Plot.selectLast({
          x: "spent",
          y: "score",
          z: "arm",
          text: "arm",
          textAnchor: "start",
          dx: 6,
          fontSize: 9,
        }),
      ),
    ],
    marginRight: 110,
  });
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
    x: { grid: true, label: "judged correct" },
    y: { domain: data.map(({ arm }) => arm), label: null },
    marks: [
      Plot.ruleY(data, { y: "arm", x1: "low", x2: "high" }),
      Plot.dot(data, { y: "arm", x: "score", fill: "black", r: 3 }),
    ],
    marginLeft: 190,
    height: 60 + 22 * data.length,
  });
}

/** SVG of what previews and free signals tell of the final reward, by scale. */
export function plotPreviews({ previews }: StudyTable): string {
  const data = previews.map(({ scale, size, view, withReward }) => ({
    scale,
    curve: view === "reward" ? `reward, ${size}` : view,
    value: withReward.estimate,
    low: withReward.low,
    high: withReward.high,
  }));
  return svg({
    x: { ticks: new Set(data.map(({ scale }) => scale)).size, label: "after scale" },
    y: { grid: true, label: "within-prompt correlation with the final reward" },
    marks: [
      Plot.ruleY([0]),
      Plot.ruleX(data, { x: "scale", y1: "low", y2: "high", stroke: "curve", strokeOpacity: 0.35 }),
      Plot.lineY(data, { x: "scale", y: "value", z: "curve", stroke: "curve", marker: "dot" }),
      Plot.text(
        data,
        Plot.selectMaxX({
          x: "scale",
          y: "value",
          z: "curve",
          text: "curve",
          textAnchor: "start",
          dx: 6,
          fontSize: 9,
        }),
      ),
    ],
    marginRight: 130,
  });
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

function svg(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<html><body></body></html>");
  const figure = Plot.plot({
    width: 760,
    height: 420,
    ...options,
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
  });
  const element = figure.tagName.toLowerCase() === "svg" ? figure : figure.querySelector("svg")!;
  element.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return `${element.outerHTML}\n`;
}

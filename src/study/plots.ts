import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

import type { Calibration } from "../core/calibration.ts";
import type { CostModel } from "../core/strategy.ts";
import { groupBy } from "./group-by.ts";

import type { StudyTable } from "./study-table.ts";

/** Colours that can be told apart, and marks for when there are more curves than colours. */
const colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#444444"];
const symbols = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"] as const;

/** Look of the n-th curve: colours first, then other marks and dashes. */
function styleOf(index: number) {
  const round = Math.floor(index / colors.length);
  return {
    color: colors[index % colors.length]!,
    symbol: symbols[(index + round) % symbols.length]!,
    dash: ["none", "5 3", "1.5 2.5"][round % 3]!,
  };
}

interface Curve {
  readonly name: string;
  readonly points: readonly {
    readonly x: number;
    readonly y: number;
    readonly low: number;
    readonly high: number;
  }[];
}

/** Marks of curves in one look each. */
function curveMarks(curves: readonly Curve[], first = 0): Plot.Markish[] {
  return curves.flatMap(({ points }, index) => {
    const { color, symbol, dash } = styleOf(first + index);
    return [
      Plot.ruleX(points, { x: "x", y1: "low", y2: "high", stroke: color, strokeOpacity: 0.3 }),
      Plot.line(points, { x: "x", y: "y", stroke: color, strokeDasharray: dash }),
      Plot.dot(points, { x: "x", y: "y", fill: color, stroke: "white", strokeWidth: 0.5, symbol, r: 4 }),
    ];
  });
}

const lineHeight = 15;

/** Names of curves at the right, each at the height of its last point or as near as there is room. */
function labels(curves: readonly Curve[], frame: Frame, first = 0): Label[] {
  const wanted = curves
    .map(({ name, points }, index) => ({
      name,
      y: frame.top + frame.height * (1 - (points.at(-1)!.y - frame.low) / (frame.high - frame.low)),
      ...styleOf(first + index),
    }))
    .sort((a, b) => a.y - b.y);
  let above = Number.NEGATIVE_INFINITY;
  const placed = wanted.map((label) => {
    above = Math.max(label.y, above + lineHeight);
    return { ...label, y: above };
  });
  // What hangs out at the bottom pushes the others up again.
  let below = frame.top + frame.height + lineHeight / 2;
  return placed
    .toReversed()
    .map((label) => {
      below = Math.min(label.y, below - lineHeight);
      return { ...label, y: below };
    })
    .toReversed();
}

interface Label {
  readonly name: string;
  readonly y: number;
  readonly color: string;
  readonly symbol: (typeof symbols)[number];
}

interface Frame {
  readonly top: number;
  readonly height: number;
  readonly low: number;
  readonly high: number;
}

/** A panel of curves with their names beside it; the axis goes down to `least` at least. */
function panel(curves: readonly Curve[], options: Plot.PlotOptions, first = 0, least = 1): Panel {
  const points = curves.flatMap((curve) => curve.points);
  const [low, high] = [
    Math.min(...points.map((point) => point.low), least),
    Math.max(...points.map((point) => point.high)),
  ];
  const height = Math.max(300, 60 + lineHeight * curves.length);
  const frame = { top: 30, height: height - 70, low, high };
  return {
    height,
    names: labels(curves, frame, first),
    options: {
      ...options,
      height,
      marginTop: frame.top,
      marginBottom: 40,
      marginRight: 270,
      y: { grid: true, domain: [low, high], ...options.y },
      marks: [...(options.marks ?? []), ...curveMarks(curves, first)],
    },
  };
}

interface Panel {
  readonly height: number;
  readonly names: readonly Label[];
  readonly options: Plot.PlotOptions;
}

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

const svgNamespace = "http://www.w3.org/2000/svg";
const labelsAt = 500;

/** Panels below each other, each with the names of its curves and their marks at the right. */
function drawPanels(panels: readonly Panel[]): string {
  const total = panels.reduce((sum, { height }) => sum + height, 0);
  let top = 0;
  const parts = panels.map(({ height, names, options }) => {
    const keys = svg({
      width: 270,
      height,
      margin: 0,
      axis: null,
      x: { domain: [0, 270] },
      y: { domain: [height, 0] },
      marks: names.flatMap(({ name, y, color, symbol }) => [
        Plot.dot([[10, y]], { fill: color, symbol, r: 4 }),
        Plot.text([[20, y]], { text: [name], fill: color, textAnchor: "start", fontSize: 11 }),
      ]),
    });
    const part = nested(svg(options), 0, top) + nested(keys, labelsAt, top);
    top += height;
    return part;
  });
  return `<svg xmlns="${svgNamespace}" width="760" height="${total}" viewBox="0 0 760 ${total}" style="background: white">\n${parts.join("")}</svg>\n`;
}

/** Plot's own style fits a picture into a page; within another one it would stretch it. */
function nested(text: string, x: number, y: number): string {
  return text
    .replace("<svg ", `<svg x="${x}" y="${y}" `)
    .replace(/ *(?:display|height|max-width): [\w%]+;\n/g, "");
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
  element.setAttribute("xmlns", svgNamespace);
  return `${element.outerHTML}\n`;
}

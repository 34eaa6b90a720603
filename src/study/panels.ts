import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

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

/** A named line of points with their intervals. */
export interface Curve {
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
export function panel(curves: readonly Curve[], options: Plot.PlotOptions, first = 0, least = 1): Panel {
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

/** One of several plots below each other, with the names of its curves. */
export interface Panel {
  readonly height: number;
  readonly names: readonly Label[];
  readonly options: Plot.PlotOptions;
}

const svgNamespace = "http://www.w3.org/2000/svg";
const labelsAt = 500;

/** Panels below each other, each with the names of its curves and their marks at the right. */
export function drawPanels(panels: readonly Panel[]): string {
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

/** A plot as the text of an SVG. */
export function svg(options: Plot.PlotOptions): string {
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

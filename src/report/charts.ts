import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { COST_KINDS } from "../core/budget.ts";
import type { ReportCell, ReportModel } from "./report-model.ts";

/** Colours by kind of cost that can be told apart on light and dark. */
const KINDS = {
  text: "#8c8c8c",
  transformer: "#0072b2",
  decode: "#d55e00",
  features: "#009e73",
  reward: "#cc79a7",
};
const WIDTH = 860;

/** SVG of scores by stage: a line for each lineage, that of the answer in front; null where nothing was scored twice. */
export function chartRewards(model: ReportModel): string | null {
  const scored = model.stages.flatMap(({ cells }) => cells.filter(({ score }) => score !== null));
  if (scored.length === 0) return null;
  const at = new Map(
    model.stages.flatMap(({ cells }) => cells.map((cell) => [`${cell.stage} ${cell.id}`, cell])),
  );
  const lines = scored.flatMap((cell, line) => {
    const before = lastScored(cell, at);
    const front = leadsToAnswer(cell, model);
    return before === null ? [] : [before, cell].map(({ stage, score }) => ({ stage, score, line, front }));
  });
  const points = scored.map((cell) => ({ ...cell, front: leadsToAnswer(cell, model) }));
  const color = (row: { front: boolean }): string => (row.front ? "#c27c00" : "#8a94a6");
  return svg(`Reward (${model.reward}) by stage and lineage; the way to the answer is in front`, {
    height: 280,
    marginLeft: 50,
    marginBottom: 44,
    x: {
      ticks: model.stages.map(({ stage }) => stage),
      tickFormat: "d",
      label: "stage",
      labelAnchor: "center",
      inset: 12,
    },
    y: { grid: true, label: model.reward.slice(0, 40), nice: true },
    marks: [
      Plot.line(
        lines.filter(({ front }) => !front),
        { x: "stage", y: "score", z: "line", stroke: color, strokeOpacity: 0.5 },
      ),
      Plot.line(
        lines.filter(({ front }) => front),
        { x: "stage", y: "score", z: "line", stroke: color, strokeWidth: 3 },
      ),
      Plot.dot(
        points.filter(({ fate }) => fate === "dropped"),
        { x: "stage", y: "score", symbol: "times", stroke: color },
      ),
      Plot.dot(
        points.filter(({ fate }) => fate !== "dropped"),
        { x: "stage", y: "score", r: 4, fill: color },
      ),
    ],
  });
}

/** The nearest scored state that a candidate continues. */
function lastScored(cell: ReportCell, at: ReadonlyMap<string, ReportCell>): ReportCell | null {
  let from = cell.from === null ? undefined : at.get(`${cell.stage - 1} ${cell.from}`);
  while (from && from.score === null) {
    from = from.from === null ? undefined : at.get(`${from.stage - 1} ${from.from}`);
  }
  return from ?? null;
}

/** Whether the answer is this candidate or descends from it. */
function leadsToAnswer({ id }: ReportCell, { best }: ReportModel): boolean {
  return best !== null && (best === id || best.startsWith(`${id}.`));
}

/** SVG of what each stage cost, by kind, in units; null where that is not known. */
export function chartCosts({ stages, budget }: ReportModel): string | null {
  if (budget === null) return null;
  const rows = stages.flatMap(({ stage, label, cost }) =>
    COST_KINDS.flatMap((kind) => {
      const flops = cost?.flops[kind] ?? 0;
      const name = label === "" ? String(stage) : `${stage}: ${label}`;
      return flops > 0 ? [{ stage: name, kind, units: flops / budget.unit }] : [];
    }),
  );
  if (rows.length === 0) return null;
  const kinds = COST_KINDS.filter((kind) => rows.some((row) => row.kind === kind));
  return svg(`Cost by stage and kind, in units; ${budget.spent.toFixed(2)} of ${budget.units} are spent`, {
    marginBottom: 44,
    height: 70 + 30 * new Set(rows.map(({ stage }) => stage)).size,
    marginLeft: 80,
    x: { grid: true, label: "units", labelAnchor: "center" },
    y: { label: null, domain: [...new Set(rows.map(({ stage }) => stage))] },
    color: { domain: kinds, range: kinds.map((kind) => KINDS[kind]) },
    marks: [Plot.barX(rows, { x: "units", y: "stage", fill: "kind", order: kinds })],
  });
}

/** SVG of all that was spent by kind against the budget. */
export function chartBudget({ budget }: ReportModel): string | null {
  if (budget === null) return null;
  const rows = COST_KINDS.flatMap((kind) => {
    const units = (budget.byKind[kind] ?? 0) / budget.unit;
    return units > 0 ? [{ kind, units }] : [];
  });
  return svg(`${budget.spent.toFixed(2)} of ${budget.units} units are spent`, {
    height: 84,
    marginBottom: 44,
    marginLeft: 80,
    x: { domain: [0, Math.max(budget.units, budget.spent)], label: "units", labelAnchor: "center" },
    y: { axis: null },
    color: { domain: rows.map(({ kind }) => kind), range: rows.map(({ kind }) => KINDS[kind]) },
    marks: [
      Plot.barX(rows, { x: "units", fill: "kind", order: rows.map(({ kind }) => kind) }),
      Plot.ruleX([budget.units], { strokeWidth: 3 }),
    ],
  });
}

/** Names of the kinds of cost with their colours. */
export function legendOf({
  budget,
}: ReportModel): readonly { readonly kind: string; readonly color: string }[] {
  return COST_KINDS.filter((kind) => (budget?.byKind[kind] ?? 0) > 0).map((kind) => ({
    kind,
    color: KINDS[kind],
  }));
}

function svg(label: string, options: Plot.PlotOptions): string {
  const { document } = parseHTML("<html><body></body></html>");
  const figure = Plot.plot({
    width: WIDTH,
    style: { background: "transparent", fontSize: "12px" },
    ...options,
    document: document as unknown as NonNullable<Plot.PlotOptions["document"]>,
  });
  const element = figure.tagName.toLowerCase() === "svg" ? figure : figure.querySelector("svg")!;
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  // Marks name themselves for screen readers, which the label of the whole does better.
  for (const part of element.querySelectorAll("[aria-label],[aria-description]")) {
    part.removeAttribute("aria-label");
    part.removeAttribute("aria-description");
  }
  return element.outerHTML;
}

import { digits, escapeHtml } from "./html.ts";
import {
  chosenCells,
  type ReportCell,
  type ReportFinalist,
  type ReportModel,
  type ReportStage,
} from "./report-model.ts";

/** Pixels. */
const GAP = 12;
const CAPTION = 28;
const LABEL = 24;
const LINKS = 34;
/** Height of a candidate that nobody looked at. */
const BLIND = 16;
/** More candidates of a stage are not drawn; the table has them. */
const MOST_CELLS = 96;

/** A picture as a data URI, by stage and candidate; null where nothing was looked at. */
export type PreviewOf = (stage: number, id: string) => string | null;

interface Placed {
  readonly cell: ReportCell;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

/**
 * SVG of a search: stages from first to last, candidates by lineage, a line from each to what it continues. Every candidate can
 * be focused and says all about itself.
 */
export function renderTree(model: ReportModel, preview: PreviewOf): string {
  const rows = model.stages.map((row) => ({ row, cells: chosenCells(row, MOST_CELLS) }));
  const widest = Math.max(1, ...rows.map(({ cells }) => cells.length));
  const size = widest <= 12 ? 84 : widest <= 32 ? 58 : 42;
  const width = Math.max(640, widest * (size + GAP) + GAP);
  const parts: string[] = [];
  let before = new Map<string, Placed>();
  let y = 0;
  for (const { row, cells } of rows) {
    const seen = cells.some(({ id }) => preview(row.stage, id) !== null);
    const height = seen ? size : BLIND;
    const placed = cells.map(
      (cell, at): Placed => ({ cell, x: GAP / 2 + at * (size + GAP), y: y + LABEL, height }),
    );
    parts.push(
      `<g role="group" aria-label="${escapeHtml(stageTitle(row))}">`,
      ...placed.map((at) => drawLink(at, before.get(at.cell.from ?? ""), size)),
      `<text x="4" y="${y + 14}" class="stage">${escapeHtml(stageTitle(row))}${hidden(row, cells)}</text>`,
      ...placed.map((at) => drawCell(at, size, preview(row.stage, at.cell.id), model)),
      "</g>",
    );
    before = new Map(placed.map((at) => [at.cell.id, at]));
    y += LABEL + height + CAPTION + LINKS;
  }
  const label =
    "Candidates by stage; arrow keys move within a stage, to what a candidate continues, and to what continues it";
  return (
    `<svg class="tree" role="group" aria-label="${label}" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}">` +
    `${parts.join("\n")}</svg>`
  );
}

function hidden({ cells }: ReportStage, shown: readonly ReportCell[]): string {
  return cells.length > shown.length ? ` (${cells.length - shown.length} more in the table)` : "";
}

export function stageTitle({ stage, label, cells, kept, facts }: ReportStage): string {
  const more = Object.entries(facts).map(([name, value]) =>
    name === "rule" ? String(value) : `${name} ${typeof value === "number" ? digits(value, 2) : value}`,
  );
  return [
    `stage ${stage}${label === "" ? "" : ` (${label})`}: ${cells.length} drawn, ${kept} kept`,
    ...more,
  ].join(", ");
}

function drawLink({ cell, x, y }: Placed, from: Placed | undefined, size: number): string {
  if (!from) return "";
  const [x1, y1] = [from.x + size / 2, from.y + from.height + CAPTION];
  const [x2, y2] = [x + size / 2, y - 1];
  const middle = (y1 + y2) / 2;
  const kind = cell.from === cell.id ? "self" : "copy";
  return `<path class="link ${kind} ${cell.fate}" d="M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}"/>`;
}

function drawCell(
  { cell, x, y, height }: Placed,
  size: number,
  image: string | null,
  model: ReportModel,
): string {
  const { id, stage, from, fate, score, cluster } = cell;
  const picture =
    image === null
      ? `<circle class="blind" cx="${x + size / 2}" cy="${y + height / 2}" r="4"/>`
      : `<image href="${image}" x="${x}" y="${y}" width="${size}" height="${size}"/>`;
  const hue = cluster === null ? "" : ` fill="hsl(${Math.round(cluster * 137.5) % 360} 60% 50%)"`;
  const finalist = model.finalists.find((row) => row.id === id && stage === model.stages.length - 1);
  return (
    `<g class="cell ${fate}" id="s${stage}-${id}" data-from="${from === null ? "" : `s${stage - 1}-${from}`}" ` +
    `tabindex="0" role="img" aria-label="${escapeHtml(describeCell(cell, finalist))}">` +
    `<rect class="frame" x="${x - 2}" y="${y - 2}" width="${size + 4}" height="${height + 4}"/>${picture}` +
    (cluster === null
      ? ""
      : `<rect class="cluster"${hue} x="${x - 2}" y="${y + height + 3}" width="${size + 4}" height="4"/>`) +
    `<text x="${x}" y="${y + height + 17}">${fate === "answer" ? "★ " : ""}${id}</text>` +
    (score === null ? "" : `<text x="${x}" y="${y + height + 28}" class="score">${digits(score)}</text>`) +
    "</g>"
  );
}

/** All that is known of a candidate after a stage, in parts that a semicolon separates. */
function describeCell(cell: ReportCell, finalist: ReportFinalist | undefined): string {
  const { id, stage, from, fate, score, cluster, values } = cell;
  const failed = finalist?.atoms.filter(({ holds }) => !holds) ?? [];
  return [
    `${id} after stage ${stage}`,
    { answer: "the answer", finished: "finished", kept: "kept", dropped: "dropped" }[fate],
    ...(from !== null && from !== id ? [`copy of ${from}`] : []),
    ...(score === null ? [] : [`score ${digits(score, 4)}`]),
    ...(cluster === null ? [] : [`cluster ${cluster}`]),
    ...Object.entries(values).map(([name, value]) => `${name.replace(/s$/, "")} ${digits(value, 4)}`),
    ...failed.map(({ question, expected }) => `failed: ${`${question} ${expected}`.replaceAll(";", ",")}`),
  ].join("; ");
}

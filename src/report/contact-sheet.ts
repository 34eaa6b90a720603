import type { CandidateId } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import { digits, escapeHtml, shortened } from "./html.ts";
import { putOn, whitePage } from "./page.ts";
import { chosenCells, type ReportCell, type ReportModel, type ReportStage } from "./report-model.ts";

/** Pixels. */
const GAP = 10;
const CAPTION = 16;
const FAILURE = 13;
const LEFT = 128;
/** Width of a bold letter of the margin, about. */
const BOLD_LETTER = 8.2;
const TOP = 60;
/** Height of a stage that nobody looked at: its words only. */
const BLIND = 22;
/** Least height of a stage with pictures: its words at the margin. */
const MARGIN = 60;
/** Candidates of a stage that are shown; the report has all. */
const MOST_CELLS = 64;
/** Side of pictures and how many stand in a line, for stages of up to so many candidates. */
const SIZES = [
  { most: 12, side: 112, columns: 12 },
  { most: 32, side: 88, columns: 16 },
  { most: MOST_CELLS, side: 80, columns: 16 },
] as const;
/** Lines of what failed, below a picture. */
const MOST_FAILURES = 4;
/** Width of a character of the captions, about. */
const LETTER = 5.8;

const COLORS = {
  kept: "#2a9d4e",
  dropped: "#9aa0a8",
  best: "#e0a100",
  ink: "#24292f",
  muted: "#6b7280",
  fail: "#b42318",
};

export interface ContactSheet {
  readonly model: ReportModel;
  /** Pictures that exist, by stage and candidate. Cells without one say that nothing was looked at. */
  readonly images: ReadonlyMap<string, RgbImage>;
}

export function sheetKey(stage: number, id: CandidateId): string {
  return `${stage} ${id}`;
}

/** A candidate's place on the sheet. */
interface Place {
  readonly cell: ReportCell;
  readonly x: number;
  readonly y: number;
  readonly failures: readonly string[];
}

interface Block {
  readonly row: ReportStage;
  readonly top: number;
  readonly places: readonly Place[];
}

/**
 * Draws a search as one PNG: a block for each stage from first to last, its candidates in the order of lineage, copies beside their
 * parents. Survivors have a green frame, the answer a golden one; what failed stands under finished pictures, what a stage cost at
 * the margin.
 */
export async function renderContactSheet(sheet: ContactSheet): Promise<Buffer> {
  const { default: sharp } = await import("sharp");
  const { side, columns } = sizeOf(sheet.model);
  const { blocks, height } = placeBlocks(sheet, side, columns);
  const used = Math.max(1, ...blocks.map(({ places }) => Math.min(columns, places.length)));
  const left = leftOf(sheet.model);
  const width = Math.max(left + used * (side + GAP) + GAP, 560);
  const page = whitePage(width, height);
  await Promise.all(
    blocks.flatMap(({ row, places }) =>
      places.flatMap(({ cell, x, y }) => {
        const image = sheet.images.get(sheetKey(row.stage, cell.id));
        return image ? [putOn(page, image, { x, y, side })] : [];
      }),
    ),
  );
  const labels = Buffer.from(drawLabels(sheet, blocks, side, width, height));
  return sharp(page.data, { raw: { width, height, channels: 3 } })
    .composite([{ input: labels, left: 0, top: 0 }])
    .png({ palette: false })
    .toBuffer();
}

function sizeOf({ stages }: ReportModel): { readonly side: number; readonly columns: number } {
  const widest = Math.max(0, ...stages.map(({ cells }) => cells.length));
  return SIZES.find(({ most }) => widest <= most) ?? SIZES.at(-1)!;
}

function placeBlocks({ model, images }: ContactSheet, side: number, columns: number) {
  const last = model.stages.length - 1;
  const left = leftOf(model);
  let top = TOP;
  const blocks = model.stages.map((row): Block => {
    const cells = chosenCells(row, MOST_CELLS);
    if (!cells.some(({ id }) => images.has(sheetKey(row.stage, id)))) {
      top += BLIND;
      return { row, top: top - BLIND, places: [] };
    }
    const failures = cells.map(({ id }) => (row.stage === last ? failuresOf(model, id, side) : []));
    const begin = top;
    const places: Place[] = [];
    for (let at = 0; at < cells.length; at += columns) {
      const line = cells.slice(at, at + columns);
      places.push(
        ...line.map((cell, column) => ({
          cell,
          x: left + column * (side + GAP),
          y: top,
          failures: failures[at + column]!,
        })),
      );
      const captions = Math.max(...failures.slice(at, at + columns).map((words) => words.length));
      top += side + CAPTION + captions * FAILURE + GAP;
    }
    top = Math.max(top, begin + MARGIN) + GAP;
    return { row, top: begin, places };
  });
  return { blocks, height: top + GAP };
}

/** Questions that a finished picture fails, in lines that fit below it. */
function failuresOf({ finalists }: ReportModel, id: CandidateId, side: number): string[] {
  const failed = finalists.find((row) => row.id === id)?.atoms.filter(({ holds }) => !holds) ?? [];
  const room = Math.floor(side / LETTER);
  const lines = failed.flatMap(({ question, expected }) => wrapped(`not ${expected}: ${question}`, room));
  return lines.length <= MOST_FAILURES ? lines : [...lines.slice(0, MOST_FAILURES - 1), "and more"];
}

/** Lines of at most so many characters, broken between words where that is possible. */
function wrapped(text: string, room: number): string[] {
  const lines: string[] = [];
  for (const word of shortened(text, 3 * room).split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= room)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(shortened(word, room));
  }
  return lines;
}

function drawLabels(
  { model, images }: ContactSheet,
  blocks: readonly Block[],
  side: number,
  width: number,
  height: number,
): string {
  const { prompt, strategy, reward, seed, budget } = model;
  const spent = budget ? `, ${budget.spent.toFixed(2)} of ${digits(budget.units)} units` : "";
  const room = Math.floor(width / 8.5);
  const parts = [
    text(GAP, 18, shortened(`"${shortened(prompt, 110)}"`, room), { size: 14, bold: true }),
    text(GAP, 34, shortened(`${strategy} for ${reward}, seed ${seed}${spent}`, room), { size: 12 }),
    text(GAP, 48, "green: kept, dashed: dropped, gold: the answer", { size: 10, color: COLORS.muted }),
  ];
  for (const { row, top, places } of blocks) {
    parts.push(...drawMargin(row, top, places.length, model));
    for (const { cell, x, y, failures } of places) {
      const { id, fate, score } = cell;
      const color = {
        answer: COLORS.best,
        finished: COLORS.kept,
        kept: COLORS.kept,
        dropped: COLORS.dropped,
      }[fate];
      const stroke = { answer: 5, finished: 3, kept: 3, dropped: 1.5 }[fate];
      const dash = fate === "dropped" ? ' stroke-dasharray="4 3"' : "";
      parts.push(
        `<rect x="${x - 1}" y="${y - 1}" width="${side + 2}" height="${side + 2}" fill="none" stroke="${color}" stroke-width="${stroke}"${dash}/>`,
      );
      if (!images.has(sheetKey(row.stage, id)))
        parts.push(`<circle cx="${x + side / 2}" cy="${y + side / 2}" r="4" fill="${color}"/>`);
      const caption = `${id}${score === null ? "" : `  ${score.toFixed(3)}`}`;
      parts.push(text(x, y + side + 13, caption, { size: 11, bold: fate === "answer" }));
      failures.forEach((failure, line) => {
        parts.push(text(x, y + side + 13 + (line + 1) * FAILURE, failure, { size: 10, color: COLORS.fail }));
      });
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join("")}</svg>`;
}

/** Where pictures begin: beside the longest name of a stage. */
function leftOf({ stages }: ReportModel): number {
  const longest = Math.max(0, ...stages.map((row) => nameOf(row).length));
  return Math.max(LEFT, Math.ceil(2 * GAP + longest * BOLD_LETTER));
}

function nameOf({ stage, label }: Pick<ReportStage, "stage" | "label">): string {
  return `stage ${stage}${label === "" ? "" : `, ${label}`}`;
}

/** What a stage is, how many it drew and kept, and what it cost. */
function drawMargin(
  { stage, label, cells, kept, cost }: ReportStage,
  top: number,
  shown: number,
  model: ReportModel,
): string[] {
  const { budget } = model;
  const flops = Object.values(cost?.flops ?? {}).reduce((sum, value) => sum + value, 0);
  const hidden = cells.length - shown;
  const lines = [
    `${cells.length} drawn, ${kept} kept`,
    ...(budget && cost ? [`${(flops / budget.unit).toFixed(2)} units`] : []),
    ...(shown === 0 ? ["not looked at"] : hidden > 0 ? [`${hidden} not shown`] : []),
  ];
  return [
    text(GAP, top + 12, nameOf({ stage, label }), { size: 13, bold: true }),
    // Words of a stage without pictures stand beside its name, so that it takes little room.
    ...(shown === 0
      ? [text(leftOf(model), top + 12, lines.join(", "), { size: 11, color: COLORS.muted })]
      : lines.map((line, at) => text(GAP, top + 28 + 14 * at, line, { size: 11, color: COLORS.muted }))),
  ];
}

function text(
  x: number,
  y: number,
  content: string,
  style: { size: number; bold?: boolean; color?: string },
): string {
  const weight = style.bold ? ' font-weight="bold"' : "";
  return (
    `<text x="${x}" y="${y}" font-family="DejaVu Sans, Arial, Helvetica, sans-serif" font-size="${style.size}"` +
    `${weight} fill="${style.color ?? COLORS.ink}">${escapeHtml(content)}</text>`
  );
}

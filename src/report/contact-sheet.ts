import type { OverlayOptions } from "sharp";
import type { Stage } from "../core/generator.ts";
import type { CandidateId } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import type { SearchHistory } from "./search-history.ts";

/** Pixels. Pictures are enlarged without smoothing, so that a small preview looks like what the reward saw. */
const CELL = 112;
/** Height of rows in which nothing was looked at. */
const BLIND = 26;
const GAP = 10;
const CAPTION = 16;
const LEFT = 92;
const TOP = 46;
/** Wider searches show their best and last-surviving candidates only. */
const MAX_COLUMNS = 24;

const COLORS = { kept: "#2a9d4e", dropped: "#c9ccd1", best: "#e0a100", ink: "#24292f", muted: "#6b7280" };

export interface ContactSheet {
  readonly title: string;
  readonly history: SearchHistory;
  readonly stages: readonly Stage[];
  /** Pictures that exist, by stage and candidate. Cells without one say that nothing was looked at. */
  readonly images: ReadonlyMap<string, RgbImage>;
}

export function sheetKey(stage: number, id: CandidateId): string {
  return `${stage} ${id}`;
}

/**
 * Draws a search as one PNG: rows are stages from first to last, columns are candidates; survivors of a stage have a
 * green frame, the answer a golden one. Scores stand under the pictures that were scored.
 */
export async function renderContactSheet(sheet: ContactSheet): Promise<Buffer> {
  const { default: sharp } = await import("sharp");
  const columns = chooseColumns(sheet.history);
  const width = LEFT + columns.length * (CELL + GAP) + GAP;
  const rows = placeRows(sheet, columns);
  const height = rows.at(-1)!.top + rows.at(-1)!.height + CAPTION + 2 * GAP;
  const overlays: OverlayOptions[] = [];
  for (const [row, { stage }] of sheet.history.stages.entries()) {
    for (const [column, id] of columns.entries()) {
      const image = sheet.images.get(sheetKey(stage, id));
      if (!image) continue;
      const raw = { width: image.width, height: image.height, channels: 3 as const };
      const input = await sharp(image.data, { raw })
        .resize(CELL, CELL, { kernel: image.width <= CELL ? "nearest" : "lanczos3", fit: "fill" })
        .png()
        .toBuffer();
      overlays.push({ input, left: LEFT + column * (CELL + GAP), top: rows[row]!.top });
    }
  }
  overlays.push({ input: Buffer.from(drawLabels(sheet, columns, rows, width, height)), left: 0, top: 0 });
  return sharp({ create: { width, height, channels: 3, background: "#ffffff" } })
    .composite(overlays)
    .png({ palette: false })
    .toBuffer();
}

interface Row {
  readonly top: number;
  readonly height: number;
}

function placeRows(sheet: ContactSheet, columns: readonly CandidateId[]): Row[] {
  let top = TOP;
  return sheet.history.stages.map(({ stage }) => {
    const height = columns.some((id) => sheet.images.has(sheetKey(stage, id))) ? CELL : BLIND;
    const row = { top, height };
    top += height + CAPTION + GAP;
    return row;
  });
}

/** All candidates if they fit; otherwise those that lived longest, the answer first among them. */
function chooseColumns(history: SearchHistory): readonly CandidateId[] {
  if (history.ids.length <= MAX_COLUMNS) return history.ids;
  const lifetime = new Map<CandidateId, number>(history.ids.map((id) => [id, 0]));
  for (const { alive, kept } of history.stages) {
    for (const id of alive) lifetime.set(id, lifetime.get(id)! + (kept.has(id) ? 2 : 1));
  }
  if (history.best !== null) lifetime.set(history.best, Number.POSITIVE_INFINITY);
  const chosen = new Set(
    [...history.ids].sort((a, b) => lifetime.get(b)! - lifetime.get(a)!).slice(0, MAX_COLUMNS),
  );
  return history.ids.filter((id) => chosen.has(id));
}

function drawLabels(
  sheet: ContactSheet,
  columns: readonly CandidateId[],
  rows: readonly Row[],
  width: number,
  height: number,
): string {
  const { history } = sheet;
  const hidden = history.ids.length - columns.length;
  const parts = [
    text(GAP, 18, sheet.title, { size: 14, bold: true }),
    text(GAP, 36, legend(hidden), { size: 11, color: COLORS.muted }),
  ];
  for (const [row, { stage, alive, kept, scores }] of history.stages.entries()) {
    const { top: y, height: tall } = rows[row]!;
    const label = sheet.stages[stage]?.label ?? "";
    parts.push(
      text(GAP, y + 12, `stage ${stage}`, { size: 13 }),
      text(GAP, y + 27, label, { size: 11, color: COLORS.muted }),
      text(GAP, y + 41, `${alive.length} > ${kept.size}`, { size: 11, color: COLORS.muted }),
    );
    const living = new Set(alive);
    const last = row === history.stages.length - 1;
    for (const [column, id] of columns.entries()) {
      if (!living.has(id)) continue;
      const x = LEFT + column * (CELL + GAP);
      const best = last && id === history.best;
      const color = best ? COLORS.best : kept.has(id) ? COLORS.kept : COLORS.dropped;
      const stroke = best ? 5 : kept.has(id) ? 3 : 1.5;
      parts.push(
        `<rect x="${x - 1}" y="${y - 1}" width="${CELL + 2}" height="${tall + 2}" fill="none" ` +
          `stroke="${color}" stroke-width="${stroke}"${kept.has(id) ? "" : ' stroke-dasharray="4 3"'}/>`,
      );
      if (!sheet.images.has(sheetKey(stage, id))) {
        parts.push(`<circle cx="${x + CELL / 2}" cy="${y + tall / 2}" r="4" fill="${color}"/>`);
      }
      const score = scores.get(id);
      parts.push(
        text(x, y + tall + 13, `${id}${score === undefined ? "" : `  ${score.toFixed(3)}`}`, {
          size: 11,
          bold: best,
        }),
      );
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join("")}</svg>`;
}

function legend(hidden: number): string {
  const base = "green: kept, dashed: dropped, gold: the answer, dot: computed but not looked at";
  return hidden > 0 ? `${base}; ${hidden} more candidates not shown` : base;
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
    `${weight} fill="${style.color ?? COLORS.ink}">${escapeXml(content)}</text>`
  );
}

function escapeXml(content: string): string {
  return (
    content
      // Control characters are not allowed in XML at all.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is being removed
      .replace(/[\u0000-\u001f\ud800-\udfff\ufffe\uffff]/g, " ")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
  );
}

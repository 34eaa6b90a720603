import { existsSync } from "node:fs";
import { join } from "node:path";
import type { RgbImage } from "../core/image.ts";
import { readJsonl } from "../io/jsonl.ts";

/** File of a run with the pictures that a search looked at, small: one line each. */
export const PREVIEWS_FILE = "previews.jsonl";

/** A picture after a stage, WebP as base64. */
export interface PreviewRow {
  readonly stage: number;
  readonly id: string;
  readonly webp: string;
}

/** Longest side in pixels of small pictures when there are up to so many: a report must stay small, however wide the search. */
const SIDES = [
  [160, 128],
  [500, 64],
  [2000, 40],
] as const;
/** More pictures than this are left out, from the end. */
const MOST = 4000;

/** Makes small pictures, in the order given. */
export async function packPreviews(
  images: readonly { readonly stage: number; readonly id: string; readonly image: RgbImage }[],
): Promise<PreviewRow[]> {
  const { default: sharp } = await import("sharp");
  const side = SIDES.find(([count]) => images.length <= count)?.[1] ?? 32;
  return Promise.all(
    images.slice(0, MOST).map(async ({ stage, id, image: { width, height, data } }) => {
      const webp = await sharp(data, { raw: { width, height, channels: 3 } })
        .resize(side, side, { fit: "inside", withoutEnlargement: true })
        .webp({ quality: 80 })
        .toBuffer();
      return { stage, id, webp: webp.toString("base64") };
    }),
  );
}

/** The answer as a data URI: as it is when it is small, otherwise at a size that screens show. */
export async function packAnswer(image: RgbImage): Promise<string> {
  const { default: sharp } = await import("sharp");
  const { width, height, data } = image;
  const webp = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(768, 768, { fit: "inside", withoutEnlargement: true })
    .webp(Math.max(width, height) <= 256 ? { lossless: true } : { quality: 88 })
    .toBuffer();
  return dataUri(webp.toString("base64"));
}

/** Looks pictures up as data URIs. What is no base64 comes from elsewhere and is left out. */
export function previewsOf(rows: readonly PreviewRow[]): (stage: number, id: string) => string | null {
  const known = new Map(
    rows
      .filter(({ webp }) => typeof webp === "string" && /^[\w+/]+=*$/.test(webp))
      .map(({ stage, id, webp }) => [`${stage} ${id}`, dataUri(webp)]),
  );
  return (stage, id) => known.get(`${stage} ${id}`) ?? null;
}

/** Small pictures of a run folder; none if it kept none. */
export async function readPreviews(dir: string): Promise<readonly PreviewRow[]> {
  if (!existsSync(join(dir, PREVIEWS_FILE))) return [];
  return (await readJsonl<PreviewRow>(join(dir, PREVIEWS_FILE))).rows;
}

function dataUri(base64: string): string {
  return `data:image/webp;base64,${base64}`;
}

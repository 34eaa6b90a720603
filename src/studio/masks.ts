import { mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeFileAtomic } from "../io/atomic.ts";
import { decodePng, encodePng } from "../io/png.ts";
import type { Region } from "./api-types.ts";

/** Folder of what is no run: its name is none that a run can have. */
const STORE = ".studio";
const NAME = /^mask-(\d+)-(\d+)-(\d+)-(\d+)-\d+x\d+\.png$/;

/** Writes the mask of a region of a picture: white where it is drawn anew. Equal regions have one file. */
export async function writeMask(runs: string, picture: string, region: Region): Promise<string> {
  const { width, height } = await decodePng(picture);
  const { left, top, right, bottom } = region;
  const path = join(runs, STORE, `mask-${left}-${top}-${right}-${bottom}-${width}x${height}.png`);
  const data = new Uint8Array(width * height * 3);
  for (let y = Math.floor((top * height) / 100); y < Math.ceil((bottom * height) / 100); y++) {
    const from = Math.floor((left * width) / 100);
    const to = Math.ceil((right * width) / 100);
    data.fill(255, 3 * (y * width + from), 3 * (y * width + to));
  }
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, await encodePng({ width, height, data }));
  return path;
}

/** The region of a mask that `writeMask` has written; null for others. */
export function regionOf(path: string): Region | null {
  const found = NAME.exec(basename(path))?.slice(1).map(Number);
  if (!found) return null;
  const [left, top, right, bottom] = found as [number, number, number, number];
  return { left, top, right, bottom };
}

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { CanvasManifest } from "./manifest.ts";
import type { CanvasModel } from "./open.ts";

/** A manifest's codebook: float32 [entries, values of a token]. */
export const codebookEntry = z.looseObject({
  file: z.string(),
  sha256: z.string(),
  entries: z.int().min(2),
});

/** Reads a folder's codebook. @throws TtsVarError MODEL_INVALID if it is not of the size that the manifest says */
export async function readCodebook(
  { folder, manifest }: CanvasModel<CanvasManifest>,
  { file, entries }: z.output<typeof codebookEntry>,
): Promise<Codebook> {
  const path = join(folder.dir, file);
  const bytes = Uint8Array.from(await readFile(path));
  const needed = 4 * entries * manifest.tokenChannels;
  if (bytes.length === needed) return new Codebook(new Float32Array(bytes.buffer), entries);
  throw new TtsVarError(
    "MODEL_INVALID",
    `${path} has ${bytes.length} bytes, not the ${needed} of ${entries} entries of ${manifest.tokenChannels} values`,
  );
}

/** A codebook over token space: entries of a few values each. */
export class Codebook {
  readonly entries: number;
  readonly #values: Float32Array;
  readonly #width: number;

  /** @param values [entries, width] */
  constructor(values: Float32Array, entries: number) {
    this.entries = entries;
    this.#values = values;
    this.#width = values.length / entries;
  }

  /** Codes in reading order as a canvas [width, tokens], channel by channel; a code of -1 stands for nothing. */
  canvas(codes: Int32Array): Float32Array {
    const canvas = new Float32Array(this.#width * codes.length);
    codes.forEach((code, token) => {
      if (code < 0) return;
      for (let value = 0; value < this.#width; value++) {
        canvas[value * codes.length + token] = this.#values[code * this.#width + value]!;
      }
    });
    return canvas;
  }

  /** The nearest entry of every token of a canvas. */
  codes(canvas: Float32Array): Int32Array {
    const tokens = canvas.length / this.#width;
    return Int32Array.from({ length: tokens }, (_, token) => {
      let [best, least] = [0, Number.POSITIVE_INFINITY];
      for (let entry = 0; entry < this.entries; entry++) {
        let distance = 0;
        for (let value = 0; value < this.#width; value++) {
          const difference = canvas[value * tokens + token]! - this.#values[entry * this.#width + value]!;
          distance += difference * difference;
        }
        if (distance < least) [best, least] = [entry, distance];
      }
      return best;
    });
  }
}

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import { withoutMark } from "../io/jsonl.ts";
import { parseMetadata } from "./geneval/metadata.ts";
import type { GenevalMetadata } from "./geneval/rules.ts";

/**
 * GenEval's folder layout, relative to the evaluation's folder: `00000/metadata.jsonl`, `00000/samples/0000.png`,
 * `00000/grid.png`. Beside it, and ignored by the official evaluator: `00000/records/0000.json`.
 */
export const layout = {
  evaluation: "evaluation.json",
  prompts: "prompts.jsonl",
  results: "results.jsonl",
  timing: "timing.jsonl",
  allocation: "allocation.jsonl",
  prompt: (index: number): string => String(index).padStart(5, "0"),
  metadata: (index: number): string => `${layout.prompt(index)}/metadata.jsonl`,
  grid: (index: number): string => `${layout.prompt(index)}/grid.png`,
  sample: (index: number, sample: number): string => `${layout.prompt(index)}/samples/${pad4(sample)}.png`,
  record: (index: number, sample: number): string => `${layout.prompt(index)}/records/${pad4(sample)}.json`,
  /** Rounds of an adaptive evaluation; the best one becomes the sample. */
  roundImage: (index: number, sample: number, round: number): string =>
    `${layout.prompt(index)}/rounds/${pad4(sample)}-${round}.png`,
  roundRecord: (index: number, sample: number, round: number): string =>
    `${layout.prompt(index)}/rounds/${pad4(sample)}-${round}.json`,
};

function pad4(value: number): string {
  return String(value).padStart(4, "0");
}

/** An image of an evaluation folder. */
export interface FoundImage {
  readonly promptIndex: number;
  readonly sample: number;
  /** Relative to the folder, with forward slashes. */
  readonly filename: string;
  readonly metadata: GenevalMetadata;
}

/** What an evaluation folder holds, by the official rules: folders of digits only, images named by digits. */
export interface FoundSet {
  readonly images: readonly FoundImage[];
  /** Prompts by their folders' numbers, images or not. */
  readonly prompts: ReadonlyMap<number, GenevalMetadata>;
}

/**
 * Lists an evaluation folder, sorted by prompt and sample.
 *
 * @throws EVAL_DATA when the folder is missing, holds no prompts, or a metadata file is bad
 */
export async function scanImages(dir: string): Promise<FoundSet> {
  const folders = (await names(dir)).filter((name) => /^\d+$/.test(name));
  if (folders.length === 0) {
    throw new TtsVarError(
      "EVAL_DATA",
      `${dir} holds no folders named by digits (00000, 00001, ...): not a GenEval image folder`,
    );
  }
  const prompts = new Map<number, GenevalMetadata>();
  const images: FoundImage[] = [];
  for (const folder of folders.sort((a, b) => Number(a) - Number(b))) {
    const promptIndex = Number(folder);
    const metadata = await readPromptMetadata(join(dir, folder, "metadata.jsonl"));
    prompts.set(promptIndex, metadata);
    const samples = (await names(join(dir, folder, "samples")).catch(() => [])).filter((name) =>
      /^\d+\.png$/.test(name),
    );
    for (const name of samples.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))) {
      const filename = `${folder}/samples/${name}`;
      images.push({ promptIndex, sample: Number.parseInt(name, 10), filename, metadata });
    }
  }
  return { images, prompts };
}

async function readPromptMetadata(path: string): Promise<GenevalMetadata> {
  let text: string;
  let value: unknown;
  try {
    text = await readFile(path, "utf8");
    value = JSON.parse(withoutMark(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TtsVarError("EVAL_DATA", `${path}: must hold one GenEval metadata object (${reason})`, {
      cause: error,
    });
  }
  return parseMetadata(value, path);
}

async function names(dir: string): Promise<string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("EVAL_DATA", `cannot read the folder ${dir} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
}

import { createHash } from "node:crypto";
import { pixelHash, type RgbImage } from "./image.ts";
import type { Tokens } from "./tokens.ts";

/**
 * How kept parts of a picture get into a candidate: the tokens of the picture (`paste`), or those that lead from what was
 * drawn so far to the picture (`requantise`).
 */
export const MASK_MODES = ["paste", "requantise"] as const;
export type MaskMode = (typeof MASK_MODES)[number];

/**
 * What is to be drawn. Plain data that travels whole, from the configuration to the generator, across threads and
 * servers. `seed` and `prompt` key every draw (with the candidate's id), so equal tasks give equal candidates.
 */
export interface Task {
  readonly prompt: string;
  readonly seed: number | string;
  /** What the generator is told instead of `prompt`, where that was rewritten; rewards go by `prompt`. */
  readonly drawn?: string;
  /** What guidance leads away from. */
  readonly negativePrompt?: string;
  /** Texts that take the prompt's place from a stage on, by rising stage. The prompt alone keys the draws. */
  readonly promptAt?: readonly PromptAt[];
  /** Index of a class, for models that know classes only. */
  readonly label?: number;
  /** Image to edit, or to go on from. */
  readonly source?: RgbImage;
  /** Where the source is drawn anew, of its size: white; black is kept. */
  readonly mask?: RgbImage;
  /** Default: `requantise`. */
  readonly maskMode?: MaskMode;
  /** Tokens to take instead of drawn ones, by stage; fewer stages than the model has leave the later ones free. */
  readonly keep?: readonly Tokens[];
  /** What rewards may know of the prompt beyond its text, such as a benchmark's row. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** From this stage on, another text. */
export interface PromptAt {
  readonly stage: number;
  readonly prompt: string;
}

/** The task as its generator gets it. */
export function toDraw({ drawn, ...task }: Task): Task {
  return drawn === undefined ? task : { ...task, prompt: drawn };
}

/** Pixels as they stand in a trace. */
export interface ImageRecord {
  readonly width: number;
  readonly height: number;
  readonly pixelHash: string;
}

/** A task as it stands in a trace: as given, with hashes in place of pixels and tokens. */
export interface TaskRecord {
  readonly prompt: string;
  readonly seed: number | string;
  readonly drawn?: string;
  readonly negativePrompt?: string;
  readonly promptAt?: readonly PromptAt[];
  readonly label?: number;
  readonly source?: ImageRecord;
  readonly mask?: ImageRecord;
  readonly maskMode?: MaskMode;
  readonly keep?: { readonly stages: number; readonly hash: string };
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What a trace says of a task. Members that were not given are absent, so that records compare as text. */
export function recordTask(task: Task): TaskRecord {
  const { prompt, seed, drawn, negativePrompt, promptAt, label, source, mask, maskMode, keep, metadata } =
    task;
  return {
    prompt,
    seed,
    ...(drawn === undefined ? {} : { drawn }),
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
    ...(promptAt === undefined ? {} : { promptAt }),
    ...(label === undefined ? {} : { label }),
    ...(source === undefined ? {} : { source: recordImage(source) }),
    ...(mask === undefined ? {} : { mask: recordImage(mask) }),
    ...(maskMode === undefined ? {} : { maskMode }),
    ...(keep === undefined ? {} : { keep: { stages: keep.length, hash: hashOf(keep) } }),
    ...(metadata === undefined || Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
}

function recordImage(image: RgbImage): ImageRecord {
  return { width: image.width, height: image.height, pixelHash: pixelHash(image) };
}

function hashOf(stages: readonly Tokens[]): string {
  const hash = createHash("sha256");
  for (const { count, data } of stages) {
    hash.update(`${count}:`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}

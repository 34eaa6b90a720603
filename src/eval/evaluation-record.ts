import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { SearchRecipe } from "../config/schema.ts";
import type { Benchmark, BenchmarkItem } from "../core/benchmark.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { TtsVarError } from "../core/errors.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { describingFiles } from "./evaluation-folder.ts";
import { layout } from "./layout.ts";

/** Settings of an adaptive evaluation: see `adaptive.ts`. */
export interface AdaptiveSettings {
  /** Units for the whole set. */
  readonly totalUnits: number;
  /** Units of one round of one image. */
  readonly roundUnits: number;
  /** Raw score of the primary reward from which an image gets no further round; null: none. */
  readonly stopAt: number | null;
}

/** What an evaluation is: `evaluation.json`. Equal records give byte-equal folders, timing left out. */
export interface EvaluationRecord {
  readonly schemaVersion: 1;
  /** Missing in GenEval's, the first there was. */
  readonly benchmark?: string;
  readonly configHash: string;
  readonly config: SearchRecipe;
  readonly models: Readonly<Record<string, string>>;
  /** Weights behind the reward, for the warning about a judge that shares them. */
  readonly rewardModel: string | null;
  readonly seed: number | string;
  readonly prompts: number;
  /** SHA-256 of the prompts' rows. */
  readonly promptsHash: string;
  readonly samples: number;
  readonly adaptive: AdaptiveSettings | null;
}

export function hashPrompts(prompts: readonly BenchmarkItem[]): string {
  return createHash("sha256").update(canonicalJson(prompts)).digest("hex");
}

const count = z.int().positive();
const recordFile = z.looseObject({
  schemaVersion: z.literal(1),
  benchmark: z.string().optional(),
  configHash: z.string(),
  config: z.record(z.string(), z.unknown()),
  models: z.record(z.string(), z.string()),
  rewardModel: z.string().nullable(),
  seed: z.union([z.number(), z.string()]),
  prompts: count,
  promptsHash: z.string(),
  samples: count,
  adaptive: z
    .looseObject({ totalUnits: z.number(), roundUnits: z.number(), stopAt: z.number().nullable() })
    .nullable(),
});

/** Reads `evaluation.json`; null if the folder has none. @throws EVAL_DATA if it is damaged, or none of ours */
export async function readEvaluation(dir: string): Promise<EvaluationRecord | null> {
  const path = join(dir, layout.evaluation);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw new TtsVarError("EVAL_DATA", `cannot read ${path} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TtsVarError("EVAL_DATA", `${path} is damaged; remove it and run the evaluation again`, {
      cause: error,
    });
  }
  const parsed = recordFile.safeParse(value);
  if (parsed.success) return value as EvaluationRecord;
  const { path: field, message } = parsed.error.issues[0]!;
  throw new TtsVarError(
    "EVAL_DATA",
    `${path} is not the record of an evaluation by tts-var (${field.join(".") || "file"}: ${message}); ` +
      "if another program wrote it, move it elsewhere to judge the images beside it, or choose another folder",
  );
}

/**
 * Begins an evaluation in `dir`, or continues the same one.
 *
 * @returns whether it is continued
 * @throws USAGE when the folder holds another evaluation, naming what differs; OUTPUT_UNWRITABLE
 */
export async function beginEvaluation(
  benchmark: Benchmark,
  dir: string,
  record: EvaluationRecord,
  prompts: readonly BenchmarkItem[],
): Promise<boolean> {
  const before = await readEvaluation(dir);
  if (before !== null) expectSame(dir, before, record);
  // First, so that whatever an interrupted evaluation leaves is known to be its own.
  if (before === null) await writeJsonAtomic(join(dir, layout.evaluation), record);
  for (const [name, content] of describingFiles({ benchmark, prompts, samples: record.samples })) {
    const path = join(dir, name);
    if ((await readFile(path, "utf8").catch(() => null)) !== content) await writeFileAtomic(path, content);
  }
  return before !== null;
}

function expectSame(dir: string, before: EvaluationRecord, now: EvaluationRecord): void {
  const keys = ["benchmark", "configHash", "models", "seed", "promptsHash", "samples", "adaptive"] as const;
  const differing = keys.filter((key) => canonicalJson(before[key]) !== canonicalJson(now[key]));
  if (differing.length === 0) return;
  const detail = differing.includes("configHash") ? settingsThatDiffer(before.config, now.config) : [];
  throw new TtsVarError(
    "USAGE",
    `${dir} holds another evaluation (different: ${[...differing.filter((key) => key !== "configHash"), ...detail].join(", ")}); ` +
      "repeat its command to continue it, or choose another --out",
    { details: { dir, differing } },
  );
}

function settingsThatDiffer(before: SearchRecipe, now: SearchRecipe): string[] {
  const keys = Object.keys({ ...before, ...now }) as (keyof SearchRecipe)[];
  const differing = keys.filter((key) => canonicalJson(before[key]) !== canonicalJson(now[key]));
  return differing.map((key) => `${key} was ${JSON.stringify(before[key])}, is ${JSON.stringify(now[key])}`);
}

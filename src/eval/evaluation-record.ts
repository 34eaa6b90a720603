import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson } from "../config/resolve.ts";
import type { SearchConfig } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import type { GenevalMetadata } from "./geneval/rules.ts";
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
  readonly configHash: string;
  readonly config: SearchConfig;
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

export function hashPrompts(prompts: readonly GenevalMetadata[]): string {
  return createHash("sha256").update(canonicalJson(prompts)).digest("hex");
}

/** Reads `evaluation.json`; null if the folder has none. @throws EVAL_DATA if it is damaged */
export async function readEvaluation(dir: string): Promise<EvaluationRecord | null> {
  const path = join(dir, layout.evaluation);
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return null;
  try {
    return JSON.parse(text) as EvaluationRecord;
  } catch (error) {
    throw new TtsVarError("EVAL_DATA", `${path} is damaged; remove it and run the evaluation again`, {
      cause: error,
    });
  }
}

/**
 * Begins an evaluation in `dir`, or continues the same one.
 *
 * @returns whether it is continued
 * @throws USAGE when the folder holds another evaluation, naming what differs; OUTPUT_UNWRITABLE
 */
export async function beginEvaluation(
  dir: string,
  record: EvaluationRecord,
  prompts: readonly GenevalMetadata[],
): Promise<boolean> {
  const before = await readEvaluation(dir);
  if (before !== null) expectSame(dir, before, record);
  // First, so that whatever an interrupted evaluation leaves is known to be its own.
  if (before === null) await writeJsonAtomic(join(dir, layout.evaluation), record);
  const rows = prompts.map((row) => `${JSON.stringify(row)}\n`).join("");
  await writeIfOther(join(dir, layout.prompts), rows);
  for (const [index, metadata] of prompts.entries()) {
    await writeIfOther(join(dir, layout.metadata(index)), `${JSON.stringify(metadata)}\n`);
  }
  return before !== null;
}

async function writeIfOther(path: string, content: string): Promise<void> {
  if ((await readFile(path, "utf8").catch(() => null)) !== content) await writeFileAtomic(path, content);
}

function expectSame(dir: string, before: EvaluationRecord, now: EvaluationRecord): void {
  const keys = ["configHash", "models", "seed", "promptsHash", "samples", "adaptive"] as const;
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

function settingsThatDiffer(before: SearchConfig, now: SearchConfig): string[] {
  const keys = Object.keys({ ...before, ...now }) as (keyof SearchConfig)[];
  const differing = keys.filter((key) => canonicalJson(before[key]) !== canonicalJson(now[key]));
  return differing.map((key) => `${key} was ${JSON.stringify(before[key])}, is ${JSON.stringify(now[key])}`);
}

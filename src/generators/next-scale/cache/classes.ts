import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { type ModelFolder, parseWith } from "../../../inference/folder/model-folder.ts";

/** File of a model folder with what `tts-var calibrate-cache` measured. It is no part of the model's identity. */
export const CLASSES_FILE = "cache.json";

const share = z.number().min(0).max(1);

export const classesSchema = z.object({
  schemaVersion: z.literal(1),
  /** name@version of the generator that was measured. */
  model: z.string().min(1),
  prompts: z.int().positive(),
  /** By layer: mean share of attention on the scale that is being drawn, and the selectivity index with its mean z-score. */
  layers: z.array(z.object({ current: share, selectivity: z.number(), score: z.number() })).min(1),
  /** By layer and head: how much attention to a token differs from query to query. */
  variance: z.array(z.array(z.number().min(0)).min(1)).min(1),
  /** Layers that look back much (ScaleKV). */
  drafters: z.array(z.int().min(0)),
  /** By layer and head (HACK). */
  structural: z.array(z.array(z.boolean())),
});

/** How layers and heads of a model look back, as measured once. */
export type CacheClasses = z.output<typeof classesSchema>;

/**
 * The classes that lie in a model folder; null without any, or when they were measured on other weights.
 *
 * @throws TtsVarError MODEL_INVALID for a file that is wrong
 */
export async function readClasses(folder: ModelFolder): Promise<CacheClasses | null> {
  const path = join(folder.dir, CLASSES_FILE);
  if (!existsSync(path)) return null;
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, "utf8"));
  } catch {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${path} is no valid JSON; \`tts-var calibrate-cache\` writes it anew`,
    );
  }
  const classes = parseWith(classesSchema, content, path);
  return classes.model === folder.modelId ? classes : null;
}

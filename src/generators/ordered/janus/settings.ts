import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { parseSettings } from "../../parse-settings.ts";
import { DTYPES, type Dtype } from "./files.ts";

/**
 * How the unconditional branch's prompt is made. `original` (DeepSeek's code): its first and last tokens stay, those in
 * between are padding, all are seen. `released` (transformers.js): all are padding, and none is seen.
 */
export const UNCONDITIONAL = ["original", "released"] as const;
export type Unconditional = (typeof UNCONDITIONAL)[number];

const POSITIVE = "must be a number above 0 and at most 100";
const SHARE = "must be above 0 and at most 1";
const schema = z.strictObject({
  /** Weight of classifier-free guidance; 1 means the conditional branch alone, at half the cost. */
  guidance: z.number().min(0, "must be a number from 0 to 100").max(100).optional(),
  unconditional: z.enum(UNCONDITIONAL).optional(),
  temperature: z.number().gt(0, POSITIVE).max(100, POSITIVE).optional(),
  topK: z.int("must be a whole number from 1").min(1, "must be a whole number from 1").optional(),
  topP: z.number().gt(0, SHARE).max(1, SHARE).optional(),
  /** Rows of tokens that make a stage. */
  rowsPerStage: z.int("must be a whole number from 1").min(1, "must be a whole number from 1").optional(),
  /** How the language model's weights are stored, by transformers.js's names. */
  dtype: z.enum(DTYPES).optional(),
});

/** Settings in full. */
export interface JanusSettings {
  readonly guidance: number;
  readonly unconditional: Unconditional;
  readonly temperature: number;
  readonly topK: number | null;
  readonly topP: number;
  readonly rowsPerStage: number;
}

/** @throws TtsVarError CONFIG_INVALID */
export function parseJanusSettings(
  given: unknown,
): { readonly dtype?: Dtype | undefined } & z.output<typeof schema> {
  return parseSettings(schema, given);
}

/** The model's settings with the configured ones on top. @throws TtsVarError CONFIG_INVALID */
export function resolveJanusSettings(
  { side, guidance }: { readonly side: number; readonly guidance: number },
  given: unknown,
): JanusSettings {
  const chosen = parseJanusSettings(given);
  // A sixth of the picture, which is what a look is worth having of.
  const { rowsPerStage = Math.max(1, Math.round(side / 6)) } = chosen;
  if (rowsPerStage > side) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.rowsPerStage is ${rowsPerStage}, but this model's pictures have ${side} rows`,
    );
  }
  return {
    guidance: chosen.guidance ?? guidance,
    unconditional: chosen.unconditional ?? "original",
    temperature: chosen.temperature ?? 1,
    topK: chosen.topK ?? null,
    topP: chosen.topP ?? 1,
    rowsPerStage,
  };
}

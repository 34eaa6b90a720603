import * as z from "zod";
import { parseSettings } from "../../parse-settings.ts";
import type { TokenSettings } from "./draw-token.ts";

/** Heads whose predictions are averaged; one of them alone is the ablation of the paper. */
export type Heads = "both" | "right" | "below";

/** Settings of a model of ordered groups. */
export interface GroupSettings extends TokenSettings {
  readonly heads: Heads;
}

const guidance = z.number().min(0, "must be from 0 to 100").max(100, "must be from 0 to 100");
const temperature = z
  .number()
  .gt(0, "must be above 0 and at most 100")
  .max(100, "must be above 0 and at most 100");
const topK = z.int("must be a whole number from 0").min(0, "must be a whole number from 0");
const topP = z.number().gt(0, "must be above 0 and at most 1").max(1, "must be above 0 and at most 1");
const minP = z.number().min(0, "must be from 0 to 1").max(1, "must be from 0 to 1");

/** A manifest's settings. */
export const groupSampling = z.looseObject({
  guidance,
  temperature,
  topK: topK.default(0),
  topP: topP.default(1),
  minP: minP.default(0),
});

const schema = z.strictObject({
  guidance: guidance.optional(),
  temperature: temperature.optional(),
  topK: topK.optional(),
  topP: topP.optional(),
  minP: minP.optional(),
  heads: z.enum(["both", "right", "below"], 'must be "both", "right" or "below"').optional(),
});

/** The model's settings with the configured ones on top. @throws TtsVarError CONFIG_INVALID */
export function groupSettings(own: z.output<typeof groupSampling>, given: unknown): GroupSettings {
  const chosen = parseSettings(schema, given);
  return {
    guidance: chosen.guidance ?? own.guidance,
    temperature: chosen.temperature ?? own.temperature,
    topK: chosen.topK ?? own.topK,
    topP: chosen.topP ?? own.topP,
    minP: chosen.minP ?? own.minP,
    heads: chosen.heads ?? "both",
  };
}

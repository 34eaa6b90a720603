import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { parseSettings } from "../../parse-settings.ts";
import { lookAheadShape } from "../look-ahead.ts";
import { resolveSettings, type SamplingSettings, samplingSchema } from "../settings.ts";
import { type HmarModel, passesProblem } from "./manifest.ts";

const amount = z.int("must be whole numbers from 1").min(1, "must be whole numbers from 1");
const schema = z.strictObject({
  ...samplingSchema.shape,
  ...lookAheadShape,
  passes: z.array(z.array(amount).min(1), "must be a list of lists, one per scale").optional(),
});

export interface HmarSettings {
  readonly sampling: SamplingSettings;
  /** Tokens that are settled in each pass, by scale. */
  readonly passes: readonly (readonly number[])[];
}

/** Settings in full: the passes may be others than those of the training. @throws TtsVarError CONFIG_INVALID */
export function resolveHmar(model: HmarModel, given: unknown): HmarSettings {
  const { passes = model.passes, lookAhead, ...sampling } = parseSettings(schema, given);
  const wrong = passesProblem(model.schedule, passes);
  if (wrong !== null) throw new TtsVarError("CONFIG_INVALID", `model.options.${wrong}`);
  const scales = model.schedule.scales.length;
  const resolved = resolveSettings(model.manifest.sampling, sampling, scales);
  return { sampling: { ...resolved, ...(lookAhead ? { lookAhead } : {}) }, passes };
}

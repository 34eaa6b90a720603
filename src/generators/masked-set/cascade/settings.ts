import * as z from "zod";
import { parseSettings } from "../../parse-settings.ts";
import { chosenSettings, type MaskedSettings, maskedFields, maskedSampling } from "../settings.ts";

/** Settings of a cascade: those of its fine level, and of the coarse one before it. */
export interface CascadeSettings extends MaskedSettings {
  /** Sets of coarse tokens that are revealed, before the stages of the fine level. */
  readonly coarseStages: number;
  /** Time of the noise that is mixed into the coarse canvas as the fine level reads it; 0: none. */
  readonly augment: number;
}

const own = {
  coarseStages: z.int("must be a whole number from 2 to 16").min(2).max(16),
  augment: z.number().min(0, "must be from 0 to 0.9").max(0.9, "must be from 0 to 0.9"),
};

/** A manifest's settings. */
export const cascadeSampling = maskedSampling.extend(own);

const schema = z.strictObject({ ...maskedFields, ...own }).partial();

/** The model's settings with the configured ones on top. @throws TtsVarError CONFIG_INVALID */
export function cascadeSettings(model: z.output<typeof cascadeSampling>, given: unknown): CascadeSettings {
  const chosen = parseSettings(schema, given);
  return {
    ...chosenSettings(model, chosen),
    coarseStages: chosen.coarseStages ?? model.coarseStages,
    augment: chosen.augment ?? model.augment,
  };
}

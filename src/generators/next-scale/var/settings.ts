import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { parseSettings } from "../../parse-settings.ts";
import { type SamplingSettings, samplingSchema } from "../settings.ts";
import type { VarManifest } from "./manifest.ts";

/** Settings in full, as traits tell them. */
export interface VarSettings {
  /** VAR's t by scale: logits are (1 + t) conditional - t unconditional. */
  readonly guidance: readonly number[];
  readonly temperature: readonly number[];
  readonly topP: number;
  readonly topK?: number;
  readonly guidanceUntil: number;
  /** Blend codebook entries instead of taking the drawn one: smoother pictures, worse figures. */
  readonly moreSmooth: boolean;
}

const schema = samplingSchema.extend({
  moreSmooth: z.boolean("must be true or false").optional(),
});

/**
 * The model's settings with the configured ones on top. A single `guidance` is VAR's `cfg`: it rises from 0 at the first
 * scale to that number at the last.
 *
 * @throws TtsVarError CONFIG_INVALID when a list does not have one value per scale
 */
export function varSettings({ sampling, sides }: VarManifest, given: unknown): VarSettings {
  const chosen = parseSettings(schema, given);
  const last = sides.length - 1;
  const list = (name: "guidance" | "temperature", spread: (value: number) => readonly number[]) => {
    const value = chosen[name] ?? sampling[name];
    if (typeof value === "number") return spread(value);
    if (value.length === sides.length) return value;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.${name} has ${value.length} values, but this model has ${sides.length} scales; give one number, or one per scale`,
    );
  };
  const { guidanceUntil = sides.length } = chosen;
  if (guidanceUntil > sides.length) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.guidanceUntil is ${guidanceUntil}, but this model has scales 0 to ${last}; ${sides.length} keeps guidance everywhere`,
    );
  }
  const topK = chosen.topK ?? sampling.topK;
  return {
    guidance: list("guidance", (value) => sides.map((_, scale) => (value * scale) / last)),
    temperature: list("temperature", (value) => sides.map(() => value)),
    topP: chosen.topP ?? sampling.topP,
    ...(topK === undefined ? {} : { topK }),
    guidanceUntil,
    moreSmooth: chosen.moreSmooth ?? false,
  };
}

/** What the session draws by: its guidance is the weight of the conditional branch. */
export function samplingOf({ moreSmooth: _, guidance, ...rest }: VarSettings): SamplingSettings {
  return { ...rest, guidance: guidance.map((t) => 1 + t) };
}

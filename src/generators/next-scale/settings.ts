import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { parseSettings } from "../parse-settings.ts";

/** Settings of the proposal of a next-scale model. Lists hold one value per scale. */
export interface SamplingSettings {
  /** Classifier-free guidance weight by scale; 1 means the conditional branch alone. */
  readonly guidance: readonly number[];
  /** Temperature of the token distribution by scale, > 0. */
  readonly temperature: readonly number[];
  /** Nucleus threshold in (0, 1]; Infinity uses 0.97. */
  readonly topP: number;
  /** Only the `topK` likeliest values of a token are drawn from; of a bit, 1 takes the likelier one. Absent: all. */
  readonly topK?: number;
  /**
   * First scale from which the unconditional branch is dropped altogether (guidance 1 for the whole suffix, half the
   * cost). The number of scales keeps guidance everywhere.
   */
  readonly guidanceUntil: number;
  /** Stages that a look ahead goes on for; see `lookingAhead`. */
  readonly lookAhead?: number;
}

const perScale = (what: string, allowed: (value: number) => boolean) => {
  const error = `must be ${what}, or a list of such numbers, one per scale`;
  return z
    .union([z.number(), z.array(z.number()).min(1)], { error })
    .refine((value) => [value].flat().every(allowed), { error });
};

/** What a configuration may say; the model's own settings stand where it says nothing. */
export const samplingSchema = z.strictObject({
  guidance: perScale("a number from 0 to 100", (value) => value >= 0 && value <= 100).optional(),
  temperature: perScale("a number above 0 and at most 100", (value) => value > 0 && value <= 100).optional(),
  topP: z.number().gt(0, "must be above 0 and at most 1").max(1, "must be above 0 and at most 1").optional(),
  topK: z.int("must be a whole number from 1").min(1, "must be a whole number from 1").optional(),
  guidanceUntil: z.int("must be a whole number from 0").min(0, "must be a whole number from 0").optional(),
});

/** A manifest's settings, as every family of next-scale models writes them. */
export interface ManifestSampling {
  readonly guidance: readonly number[];
  readonly temperature: readonly number[];
  readonly topP: number;
  readonly topK?: number | undefined;
  readonly guidanceUntil?: number | undefined;
}

/**
 * The model's settings with the configured ones on top; single numbers are spread over all scales.
 *
 * @throws TtsVarError CONFIG_INVALID when a list does not have one value per scale
 */
export function resolveSettings(own: ManifestSampling, given: unknown, scales: number): SamplingSettings {
  const chosen = parseSettings(samplingSchema, given);
  const spread = (name: "guidance" | "temperature"): readonly number[] => {
    const value = chosen[name];
    if (value === undefined) {
      return Array.from({ length: scales }, (_, scale) => own[name][scale] ?? own[name].at(-1)!);
    }
    if (typeof value === "number") return new Array<number>(scales).fill(value);
    if (value.length === scales) return value;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.${name} has ${value.length} values, but this model has ${scales} scales; give one number, or one per scale`,
    );
  };
  const { guidanceUntil = Math.min(own.guidanceUntil ?? scales, scales) } = chosen;
  if (guidanceUntil > scales) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.guidanceUntil is ${guidanceUntil}, but this model has scales 0 to ${scales - 1}; ${scales} keeps guidance everywhere`,
    );
  }
  const topK = chosen.topK ?? own.topK;
  return {
    guidance: spread("guidance"),
    temperature: spread("temperature"),
    topP: chosen.topP ?? own.topP,
    ...(topK === undefined ? {} : { topK }),
    guidanceUntil,
  };
}

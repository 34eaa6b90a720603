import { TtsVarError } from "../core/errors.ts";
import type { SamplingSettings } from "../core/generator.ts";

/** What a configuration says of sampling; the model's settings stand where it says nothing. */
export interface SamplingChoice {
  readonly guidance?: number | readonly number[] | undefined;
  readonly temperature?: number | readonly number[] | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly guidanceUntil?: number | undefined;
}

/**
 * The model's settings with the configured ones on top; single numbers are spread over all scales.
 *
 * @throws TtsVarError CONFIG_INVALID when a list does not have one value per scale
 */
export function resolveSettings(
  defaults: SamplingSettings,
  sampling: SamplingChoice,
  scales: number,
): SamplingSettings {
  const spread = (
    name: string,
    value: number | readonly number[] | undefined,
    fallback: readonly number[],
  ) => {
    if (value === undefined) return fallback;
    if (typeof value === "number") return new Array<number>(scales).fill(value);
    if (value.length !== scales) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `sampling.${name} has ${value.length} values, but this model has ${scales} scales; give one number, or one per scale`,
      );
    }
    return value;
  };
  const topK = sampling.topK ?? defaults.topK;
  const guidanceUntil = sampling.guidanceUntil ?? defaults.guidanceUntil;
  if (guidanceUntil > scales) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `sampling.guidanceUntil is ${guidanceUntil}, but this model has scales 0 to ${scales - 1}; ${scales} keeps guidance everywhere`,
    );
  }
  return {
    guidance: spread("guidance", sampling.guidance, defaults.guidance),
    temperature: spread("temperature", sampling.temperature, defaults.temperature),
    topP: sampling.topP ?? defaults.topP,
    ...(topK === undefined ? {} : { topK }),
    guidanceUntil,
  };
}

import type { Generator, GeneratorTraits } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { BitCode } from "./bit-code.ts";
import type { Network } from "./network.ts";
import { startSession } from "./session.ts";
import type { SamplingSettings } from "./settings.ts";

/** A model under one set of settings. */
export interface UnderSettings<State> {
  readonly traits: GeneratorTraits;
  readonly settings: SamplingSettings;
  readonly network: Network<State>;
}

/** Open networks that draw the bits of one code. */
export interface BitModel<State> {
  readonly code: BitCode;
  /** @throws TtsVarError CONFIG_INVALID for settings that the model does not have */
  under(given: unknown): UnderSettings<State>;
  /** Tokens of an image; absent if the model has no encoder. */
  readonly encode?: (image: RgbImage) => Promise<Tokens[]>;
  close(): Promise<void>;
}

/** A generator of open networks; other settings share them, and leave them open. */
export function bitGenerator<State>(model: BitModel<State>, given: unknown): Generator {
  const { code, encode } = model;
  const under = (asked: unknown, dispose: () => Promise<void>): Generator => {
    const { traits, settings, network } = model.under(asked);
    return {
      traits,
      start: (task, ids) => startSession({ network, code, shape: traits.shape, settings }, task, ids),
      ...(encode ? { encode } : {}),
      withSettings: async (others) => under(others, async () => undefined),
      [Symbol.asyncDispose]: dispose,
    };
  };
  return under(given, () => model.close());
}

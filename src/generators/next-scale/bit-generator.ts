import type { Generator, GeneratorTraits } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Task } from "../../core/task.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { Network } from "./network.ts";
import type { Reference } from "./reference.ts";
import { startSession } from "./session.ts";
import type { SamplingSettings } from "./settings.ts";
import type { TokenCode } from "./token-code.ts";

/** A model under one set of settings. */
export interface UnderSettings<State> {
  readonly traits: GeneratorTraits;
  readonly settings: SamplingSettings;
  readonly network: Network<State>;
  /** Tokens that are settled in each pass, by stage, for models with masked passes. */
  readonly passes?: readonly (readonly number[])[];
}

/** Open networks that draw the tokens of one code. */
export interface BitModel<State> {
  readonly code: TokenCode;
  /** @throws TtsVarError CONFIG_INVALID for settings that the model does not have */
  under(given: unknown): Promise<UnderSettings<State>>;
  /** Tokens of an image; absent if the model has no encoder. */
  readonly encode?: (image: RgbImage) => Promise<Tokens[]>;
  /** What a task's source keeps of its tokens; absent if the model has no encoder. */
  readonly reference?: (task: Task) => Promise<Reference | null>;
  close(): Promise<void>;
}

/** A generator of open networks; other settings share them, and leave them open. */
export async function bitGenerator<State>(model: BitModel<State>, given: unknown): Promise<Generator> {
  const { code, encode } = model;
  const under = async (asked: unknown, dispose: () => Promise<void>): Promise<Generator> => {
    const { traits, ...drawing } = await model.under(asked);
    return {
      traits,
      start: async (task, ids) => {
        const reference = (await model.reference?.(task)) ?? null;
        return startSession({ ...drawing, code, traits }, task, ids, reference);
      },
      ...(encode ? { encode } : {}),
      withSettings: (others) => under(others, async () => undefined),
      [Symbol.asyncDispose]: dispose,
    };
  };
  return under(given, () => model.close());
}

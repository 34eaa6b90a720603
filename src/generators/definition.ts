import { TtsVarError } from "../core/errors.ts";
import type { Generator, SamplingSettings } from "../core/generator.ts";
import type { ShapeWish } from "./choose-shape.ts";

/** All of a generator that is known without its weights: enough to plan and price a search. */
export type GeneratorTraits = Omit<Generator, "start" | "encode" | typeof Symbol.asyncDispose>;

export interface OpenGeneratorOptions {
  /** Threads of the inference runtime. */
  readonly threads?: number;
  /** Compute on the calling thread instead of a worker (tests, and processes that do nothing else). */
  readonly inProcess?: boolean;
  /** Generators with different numbers compute side by side, in threads of their own; default: 0. */
  readonly lane?: number;
  /** Aspect ratio and size; the same as for `describe`. */
  readonly shape?: ShapeWish;
  /** Candidates that a stage computes at once, by stage; a larger population is split. Changes no result. */
  readonly rowsAtOnce?: readonly number[];
}

/** A generator as a plug-in. `describe` reads a manifest; `open` loads weights. */
export interface GeneratorDefinition {
  describe(shape?: ShapeWish): Promise<GeneratorTraits>;
  open(options?: OpenGeneratorOptions): Promise<Generator>;
}

/**
 * Rejects settings that do not fit the stages.
 *
 * @throws TtsVarError CONFIG_INVALID naming the setting
 */
export function checkSettings(settings: SamplingSettings, stages: number): void {
  const fail = (message: string): never => {
    throw new TtsVarError("CONFIG_INVALID", `sampling.${message}`);
  };
  for (const name of ["guidance", "temperature"] as const) {
    const values = settings[name];
    if (values.length !== stages)
      fail(`${name} has ${values.length} values, but the model has ${stages} scales`);
    if (!values.every(Number.isFinite)) fail(`${name} must be finite, not ${values.join(", ")}`);
  }
  if (!settings.temperature.every((value) => value > 0)) fail("temperature must be above 0");
  if (!(settings.topP > 0 && settings.topP <= 1)) fail(`topP must be in (0, 1], not ${settings.topP}`);
  const { topK } = settings;
  if (topK !== undefined && (!Number.isInteger(topK) || topK < 1))
    fail(`topK must be a whole number from 1, not ${topK}`);
  const until = settings.guidanceUntil;
  if (!Number.isInteger(until) || until < 0)
    fail(`guidanceUntil must be a whole number from 0, not ${until}`);
}

/** `values` for exactly `count` scales: cut, or continued with the last one. */
export function perScale(values: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, scale) => values[scale] ?? values.at(-1)!);
}

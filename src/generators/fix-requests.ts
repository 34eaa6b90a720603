import type { Generator } from "../core/generator.ts";
import type { GeneratorTraits } from "./definition.ts";

/** What a configuration adds to every request of a search. */
export interface FixedRequest {
  readonly negativePrompt?: string;
  readonly forcedBits?: readonly Uint8Array[];
}

/**
 * The description of a generator whose first scales are forced: as long as all candidates are one, a stage is computed
 * once, whatever the width, and priced so.
 */
export function describeFixed(
  description: GeneratorTraits,
  { forcedBits = [] }: FixedRequest,
): GeneratorTraits {
  const { cost } = description;
  const sharedStages = Math.min(
    description.scales.length,
    Math.max(cost.sharedStages, forcedBits.length + (forcedBits.length > 0 ? 1 : 0)),
  );
  return sharedStages === cost.sharedStages
    ? description
    : { ...description, cost: { ...cost, sharedStages } };
}

/** The generator with something added to all its requests. */
export function fixRequests(generator: Generator, fixed: FixedRequest): Generator {
  return deriveGenerator(generator, {
    ...describeFixed(generator, fixed),
    start: (request) => generator.start({ ...request, ...fixed }),
  });
}

/** A generator that differs from another in some members. The new one takes over the other's disposal. */
export function deriveGenerator(generator: Generator, changes: Partial<Generator>): Generator {
  const { name, version, scales, latent, pixelsPerLatent, cost, defaults } = generator;
  const { memory, schedule, bitsPerToken, encode } = generator;
  return {
    name,
    version,
    scales,
    latent,
    pixelsPerLatent,
    cost,
    defaults,
    ...(memory && { memory }),
    ...(schedule !== undefined && { schedule }),
    ...(bitsPerToken !== undefined && { bitsPerToken }),
    ...(encode && { encode: (image) => generator.encode!(image) }),
    start: (request) => generator.start(request),
    [Symbol.asyncDispose]: () => generator[Symbol.asyncDispose](),
    ...changes,
  };
}

import type { Sampler } from "../core/generator.ts";
import type { SamplerDescription } from "./definition.ts";

/** What a configuration adds to every request of a search. */
export interface FixedRequest {
  readonly negativePrompt?: string;
  readonly forcedBits?: readonly Uint8Array[];
}

/**
 * The description of a sampler whose first scales are forced: as long as all candidates are one, a stage is computed
 * once, whatever the width, and priced so.
 */
export function describeFixed(
  description: SamplerDescription,
  { forcedBits = [] }: FixedRequest,
): SamplerDescription {
  const { cost } = description;
  const sharedStages = Math.min(
    description.scales.length,
    Math.max(cost.sharedStages, forcedBits.length + (forcedBits.length > 0 ? 1 : 0)),
  );
  return sharedStages === cost.sharedStages
    ? description
    : { ...description, cost: { ...cost, sharedStages } };
}

/** The sampler with something added to all its requests. */
export function fixRequests(sampler: Sampler, fixed: FixedRequest): Sampler {
  return deriveSampler(sampler, {
    ...describeFixed(sampler, fixed),
    start: (request) => sampler.start({ ...request, ...fixed }),
  });
}

/** A sampler that differs from another in some members. The new one takes over the other's disposal. */
export function deriveSampler(sampler: Sampler, changes: Partial<Sampler>): Sampler {
  const { name, version, scales, latent, pixelsPerLatent, cost, defaults } = sampler;
  const { memory, schedule, bitsPerToken, encode } = sampler;
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
    ...(encode && { encode: (image) => sampler.encode!(image) }),
    start: (request) => sampler.start(request),
    [Symbol.asyncDispose]: () => sampler[Symbol.asyncDispose](),
    ...changes,
  };
}

import type { Listing } from "../core/registry.ts";
import type { SamplerDefinition } from "./definition.ts";

/** A built-in sampler: what `tts-var list samplers` shows, and its lazily imported definition. */
export interface SamplerEntry extends Listing {
  load(): Promise<SamplerDefinition>;
}

/** All built-in samplers. Nothing is imported before one is asked for by name. */
export const samplers: readonly SamplerEntry[] = [
  {
    name: "embedded",
    summary: "the generator that ships with the package: icon scenes at 64 pixels",
    source: "Han et al. 2024 (Infinity), trained in training/",
    async load() {
      const { embeddedModelPath } = await import("../inference/folder/model-folder.ts");
      const { infinityDefinition } = await import("./next-scale/infinity/definition.ts");
      return infinityDefinition(await embeddedModelPath("generator"));
    },
  },
  {
    name: "toy",
    summary: "coloured blocks without weights, with a known best image for every prompt",
    load: async () => (await import("./next-scale/toy/definition.ts")).toyDefinition,
  },
];

/** The sampler of a model folder, by the family that its manifest names. */
export async function samplerOfFolder(dir: string): Promise<SamplerDefinition> {
  const { infinityDefinition } = await import("./next-scale/infinity/definition.ts");
  return infinityDefinition(dir);
}

/** The sampler behind a server's address. */
export async function samplerOfAddress(address: string): Promise<SamplerDefinition> {
  const { remoteDefinition } = await import("./remote/definition.ts");
  return remoteDefinition(address);
}

import type { Listing } from "../core/registry.ts";
import type { GeneratorDefinition } from "./definition.ts";

/** A built-in generator: what `tts-var list generators` shows, and its lazily imported definition. */
export interface GeneratorEntry extends Listing {
  load(): Promise<GeneratorDefinition>;
}

/** All built-in generators. Nothing is imported before one is asked for by name. */
export const generators: readonly GeneratorEntry[] = [
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

/** The generator of a model folder, by the family that its manifest names. */
export async function generatorOfFolder(dir: string): Promise<GeneratorDefinition> {
  const { infinityDefinition } = await import("./next-scale/infinity/definition.ts");
  return infinityDefinition(dir);
}

/** The generator behind a server's address. */
export async function generatorOfAddress(address: string): Promise<GeneratorDefinition> {
  const { remoteDefinition } = await import("./remote/definition.ts");
  return remoteDefinition(address);
}

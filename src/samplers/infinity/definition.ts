import { openRemote, siblingModule } from "../../models/worker/inference-worker.ts";
import type { SamplerDefinition } from "../sampler-definition.ts";
import { remoteSampler, type SamplerMethods } from "../sampler-service.ts";
import { type InfinityOptions, loadInfinity, readInfinity } from "./sampler.ts";

/**
 * A generator of the Infinity family in a model folder: the embedded one, or an exported checkpoint.
 *
 * @param dir      folder with manifest.json
 * @param schedule id of an aspect ratio and size of the manifest; default: its first
 */
export function infinityDefinition(dir: string, schedule?: string): SamplerDefinition {
  const chosen = schedule === undefined ? {} : { schedule };
  return {
    describe: async () => (await readInfinity(dir, schedule)).description,
    async open({ threads, inProcess } = {}) {
      const options: InfinityOptions = { ...chosen, ...(threads === undefined ? {} : { threads }) };
      if (inProcess) return loadInfinity(dir, options);
      const { description } = await readInfinity(dir, schedule);
      const module = siblingModule(import.meta.url, "service");
      const remote = await openRemote<SamplerMethods>(module, { dir, ...options }, "generator");
      return remoteSampler(description, remote);
    },
  };
}

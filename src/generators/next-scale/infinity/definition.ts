import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import type { GeneratorDefinition } from "../../definition.ts";
import { type GeneratorMethods, remoteGenerator } from "../../remote/session-calls.ts";
import { loadInfinity, readInfinity } from "./open.ts";

/**
 * A generator of the Infinity family in a model folder: the embedded one, or an exported checkpoint.
 *
 * @param dir folder with manifest.json
 */
export function infinityDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async (shape) => (await readInfinity(dir, shape)).description,
    async open({ inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadInfinity(dir, options);
      const { description, encodes } = await readInfinity(dir, options.shape);
      const module = siblingModule(import.meta.url, "service");
      const remote = await openRemote<GeneratorMethods>(module, { dir, ...options }, `generator ${lane}`);
      return remoteGenerator(description, remote, { encodes });
    },
  };
}

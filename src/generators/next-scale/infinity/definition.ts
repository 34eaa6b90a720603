import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { infinityTraits, loadInfinity, readInfinity } from "./open.ts";
import { resolveInfinity } from "./settings.ts";

/**
 * A generator of the Infinity family in a model folder: the embedded one, or an exported checkpoint.
 *
 * @param dir folder with manifest.json
 */
export function infinityDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async ({ shape, settings } = {}) => infinityTraits(await readInfinity(dir, shape), settings),
    async open({ shape, settings } = {}, { inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadInfinity(dir, { shape: shape ?? {}, settings }, options);
      const model = await readInfinity(dir, shape);
      const traits = infinityTraits(model, settings);
      const module = siblingModule(import.meta.url, "service");
      // Settings come with every call; of what is opened they only decide how the cache is cut.
      const { policy } = resolveInfinity(model, settings).cache;
      const request = { dir, request: { shape: shape ?? {} }, options: { ...options, policy } };
      const remote = await openRemote<SessionMethods>(module, request, `generator ${lane}`);
      return remoteGenerator(traits, remote, {
        settings,
        describe: async (others) => infinityTraits(model, others),
      });
    },
  };
}

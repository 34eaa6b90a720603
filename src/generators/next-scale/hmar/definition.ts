import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { readHmar } from "./manifest.ts";
import { loadHmar } from "./open.ts";
import { hmarTraits } from "./traits.ts";

/**
 * A generator of the HMAR family in a model folder: no cache, masked passes within a scale, and `refine`.
 *
 * @param dir folder with manifest.json
 */
export function hmarDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async ({ shape, settings } = {}) => hmarTraits(await readHmar(dir, shape), settings),
    async open({ shape, settings } = {}, { inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadHmar(dir, { shape: shape ?? {}, settings }, options);
      const model = await readHmar(dir, shape);
      const traits = hmarTraits(model, settings);
      const module = siblingModule(import.meta.url, "service");
      const request = { dir, request: { shape: shape ?? {} }, options };
      const remote = await openRemote<SessionMethods>(module, request, `generator ${lane}`);
      return remoteGenerator(traits, remote, {
        settings,
        describe: async (others) => hmarTraits(model, others),
      });
    },
  };
}

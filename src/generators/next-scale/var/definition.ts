import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { loadVar, readVar, varTraits } from "./open.ts";

/**
 * A class-conditional generator of the VAR family in a model folder: our own, or an exported checkpoint.
 *
 * @param dir folder with manifest.json
 */
export function varDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async ({ shape, settings } = {}) => varTraits(await readVar(dir, shape), settings),
    async open({ shape, settings } = {}, { inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadVar(dir, { shape: shape ?? {}, settings }, options);
      const model = await readVar(dir, shape);
      const module = siblingModule(import.meta.url, "service");
      const request = { dir, request: { shape: shape ?? {} }, options };
      const remote = await openRemote<SessionMethods>(module, request, `generator ${lane}`);
      return remoteGenerator(varTraits(model, settings), remote, {
        settings,
        describe: async (others) => varTraits(model, others),
      });
    },
  };
}

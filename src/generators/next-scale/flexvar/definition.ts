import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { flexTraits, loadFlex, readFlex } from "./open.ts";

/** @param dir folder with manifest.json */
export function flexvarDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async ({ shape, settings } = {}) => flexTraits(await readFlex(dir, shape), settings),
    async open({ shape, settings } = {}, { inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadFlex(dir, { shape: shape ?? {}, settings }, options);
      const model = await readFlex(dir, shape);
      const module = siblingModule(import.meta.url, "service");
      const request = { dir, request: { shape: shape ?? {} }, options };
      const remote = await openRemote<SessionMethods>(module, request, `generator ${lane}`);
      return remoteGenerator(flexTraits(model, settings), remote, {
        settings,
        describe: async (others) => flexTraits(model, others),
      });
    },
  };
}

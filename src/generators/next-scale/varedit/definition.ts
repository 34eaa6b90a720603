import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { editTraits, loadEditor, readEditor } from "./open.ts";

/** @param dir folder with manifest.json */
export function editorDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async ({ shape, settings } = {}) => editTraits(await readEditor(dir, shape), settings),
    async open({ shape, settings } = {}, { inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadEditor(dir, { shape: shape ?? {}, settings }, options);
      const model = await readEditor(dir, shape);
      const module = siblingModule(import.meta.url, "service");
      const request = { dir, request: { shape: shape ?? {} }, options };
      const remote = await openRemote<SessionMethods>(module, request, `generator ${lane}`);
      return remoteGenerator(editTraits(model, settings), remote, {
        settings,
        describe: async (others) => editTraits(model, others),
      });
    },
  };
}

import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { loadJanus, readJanusFor } from "./open.ts";
import { janusTraits } from "./traits.ts";

/**
 * Janus or Janus-Pro in the folder layout of transformers.js: a raster of tokens, row after row.
 *
 * @param dir folder with config.json and onnx/
 */
export function janusDefinition(dir: string): GeneratorDefinition {
  return {
    describe: async (request = {}) => janusTraits(await readJanusFor(dir, request), request.settings),
    async open(request = {}, { inProcess, lane = 0, ...options } = {}) {
      if (inProcess) return loadJanus(dir, request, options);
      const model = await readJanusFor(dir, request);
      const { settings } = request;
      const traits = janusTraits(model, settings);
      const module = siblingModule(import.meta.url, "service");
      const opened = { dir, request, options };
      const remote = await openRemote<SessionMethods>(module, opened, `generator ${lane}`);
      return remoteGenerator(traits, remote, {
        settings,
        describe: async (others) => janusTraits(model, others),
      });
    },
  };
}

import type { GeneratorDefinition } from "../../../core/generator.ts";
import { openRemote } from "../../../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../../../threads/start-thread.ts";
import { remoteGenerator, type SessionMethods } from "../../remote/session-calls.ts";
import { loadPair } from "./open.ts";
import { pairTraits, readPair } from "./pair.ts";

/** Two models of the Infinity family that draw together (`--model code`): one drafts, the other refines. */
export const codeDefinition: GeneratorDefinition = {
  describe: async ({ shape, settings } = {}) => pairTraits(await readPair(settings, shape), settings),
  async open(request = {}, { inProcess, lane = 0, ...options } = {}) {
    if (inProcess) return loadPair(request, options);
    const { shape = {}, settings } = request;
    const pair = await readPair(settings, shape);
    const traits = pairTraits(pair, settings);
    const module = siblingModule(import.meta.url, "service");
    const remote = await openRemote<SessionMethods>(
      module,
      // The other settings come with every call.
      { request: { shape, settings: pair.names }, options },
      `generator ${lane}`,
    );
    return remoteGenerator(traits, remote, {
      settings,
      describe: async (others) => pairTraits(pair, others),
    });
  },
};

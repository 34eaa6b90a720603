import type { SearchConfig } from "../config/schema.ts";
import { warmThreads } from "../inference/runtime/worker/inference-worker.ts";
import { siblingModule } from "../threads/start-thread.ts";

/**
 * Starts the threads of a search, with the runtime and the program of the embedded models, while the search is planned; their
 * weights are read only when the plan is good. Where other models compute, or elsewhere than on the processor, nothing is
 * started: what they need is not known yet.
 */
export function warmForSearch({ model, provider = "cpu" }: Pick<SearchConfig, "model" | "provider">): void {
  const decided = process.env["TTS_VAR_PROVIDER"] ?? provider;
  if (decided !== "cpu" || provider !== "cpu" || !/^embedded(-int8)?$/.test(model.name)) return;
  const generator = siblingModule(import.meta.url, "../generators/next-scale/infinity/service");
  const scoring = siblingModule(import.meta.url, "../inference/runtime/graph-service");
  warmThreads(
    new Map([
      ["generator 0", generator],
      ["scoring", scoring],
    ]),
  );
}

import type { Tensor } from "../../core/tensor.ts";
import { siblingModule } from "../../threads/start-thread.ts";
import type { GraphMethods } from "./graph-service.ts";
import type { Feeds } from "./ort-session.ts";
import { type Lane, openRemote } from "./worker/inference-worker.ts";

/** One ONNX graph in the scoring thread, so that scoring overlaps generation and the caller stays responsive. */
export interface Graph extends AsyncDisposable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>;
}

/**
 * @param load threads of one operator, if not the usual number, and another thread than the usual one
 * @throws TtsVarError MODEL_RUNTIME if the runtime refuses the file
 */
export async function openGraph(
  file: string,
  { lane = "scoring", ...load }: { readonly threads?: number; readonly lane?: Lane } = {},
): Promise<Graph> {
  const service = siblingModule(import.meta.url, "./graph-service");
  const remote = await openRemote<GraphMethods>(service, { file, ...load }, lane);
  const { inputs, outputs } = await remote.call("describe");
  return {
    inputs,
    outputs,
    run: (feeds, fetches = outputs) => remote.call("run", feeds, fetches),
    [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose](),
  };
}

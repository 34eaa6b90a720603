import type { Tensor } from "../../core/tensor.ts";
import { type Graph, openGraph } from "../runtime/graph.ts";
import { defaultThreads, type Feeds } from "../runtime/ort-session.ts";
import type { LoadOptions } from "./clip-types.ts";

/** A graph that takes images one at a time. */
export interface ImageGraph extends Pick<Graph, "inputs" | "outputs">, AsyncDisposable {
  /** Runs the graph for each of so many images. */
  runEach(
    count: number,
    feedsOf: (index: number) => Feeds,
    fetches: readonly string[],
  ): Promise<Record<string, Tensor>[]>;
}

/** Images after which a second session is worth its opening. */
const MANY = 48;
/** Images under way in a session: the next one is there when one is computed. */
const AT_ONCE = 2;

/**
 * Opens a graph for images. A row's bits could depend on the number of rows (see decision record 0003), so each is a run of its own;
 * but one small image does not fill two cores. Whoever looks at many gets a second session in a thread of its own, unless threads
 * are counted, and the images are shared out. What comes out is the same.
 *
 * @throws TtsVarError MODEL_RUNTIME
 */
export async function openImageGraph(file: string, load: LoadOptions = {}): Promise<ImageGraph> {
  const graph = await openGraph(file, load);
  const graphs = [graph];
  let seen = 0;
  let second: Promise<void> | undefined;
  return {
    inputs: graph.inputs,
    outputs: graph.outputs,
    async runEach(count, feedsOf, fetches) {
      seen += count;
      if (seen > MANY && load.threads === undefined && defaultThreads() > 1) {
        // Where there is no room for it, one has to do.
        second ??= openGraph(file, { threads: 1, lane: "scoring beside" }).then(
          (beside) => void graphs.push(beside),
          () => undefined,
        );
      }
      const results: Record<string, Tensor>[] = [];
      let next = 0;
      const work = async (own: Graph): Promise<void> => {
        while (next < count) {
          const index = next++;
          results[index] = await own.run(feedsOf(index), fetches);
        }
      };
      await Promise.all(graphs.flatMap((own) => Array.from({ length: AT_ONCE }, () => work(own))));
      return results;
    },
    async [Symbol.asyncDispose]() {
      await second;
      await Promise.all(graphs.map((own) => own[Symbol.asyncDispose]()));
    },
  };
}

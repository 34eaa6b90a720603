import type { Tensor } from "../../core/tensor.ts";
import { type Graph, openGraph } from "../runtime/graph.ts";
import { defaultThreads, type Feeds } from "../runtime/ort-session.ts";
import type { LoadOptions } from "./clip-types.ts";

export interface ImageGraphOptions extends LoadOptions {
  /** Images that one run may take: so many together must have the bits that each has alone (decision record 0003). */
  readonly batch: number;
}

/** A graph of images. */
export interface ImageGraph extends Pick<Graph, "inputs" | "outputs">, AsyncDisposable {
  /**
   * Runs the graph for so many images, in blocks.
   *
   * @param feedsOf inputs for the images of [from, to)
   * @returns each fetched output with a row an image
   */
  runAll(
    count: number,
    feedsOf: (from: number, to: number) => Feeds,
    fetches: readonly string[],
  ): Promise<Tensor[]>;
}

/** Images after which a second session is worth its opening. */
const MANY = 48;
/** Blocks under way in a session: the next one is there when one is computed. */
const AT_ONCE = 2;

/**
 * Opens a graph for images. Small images do not fill two cores, so whoever looks at many gets a second session in a thread of its own,
 * unless threads are counted, and blocks are shared out. What comes out is the same.
 *
 * @throws TtsVarError MODEL_RUNTIME
 */
export async function openImageGraph(
  file: string,
  { batch, ...load }: ImageGraphOptions,
): Promise<ImageGraph> {
  const graph = await openGraph(file, load);
  const graphs = [graph];
  let seen = 0;
  let second: Promise<void> | undefined;
  return {
    inputs: graph.inputs,
    outputs: graph.outputs,
    async runAll(count, feedsOf, fetches) {
      seen += count;
      if (seen > MANY && load.threads === undefined && defaultThreads() > 1) {
        // Where there is no room for it, one has to do.
        second ??= openGraph(file, { threads: 1, lane: "scoring beside" }).then(
          (beside) => void graphs.push(beside),
          () => undefined,
        );
      }
      const size = blockSize(count, batch, graphs.length);
      const blocks: Record<string, Tensor>[] = [];
      let next = 0;
      const work = async (own: Graph): Promise<void> => {
        while (next * size < count) {
          const block = next++;
          const from = block * size;
          blocks[block] = await own.run(feedsOf(from, Math.min(count, from + size)), fetches);
        }
      };
      await Promise.all(graphs.flatMap((own) => Array.from({ length: AT_ONCE }, () => work(own))));
      return fetches.map((name) => joined(blocks.map((block) => block[name]!)));
    },
    async [Symbol.asyncDispose]() {
      await second;
      await Promise.all(graphs.map((own) => own[Symbol.asyncDispose]()));
    },
  };
}

/** Images of a block, so that each session gets as many blocks as the other. */
function blockSize(count: number, batch: number, sessions: number): number {
  const rounds = Math.ceil(count / (batch * sessions));
  return Math.max(1, Math.ceil(count / (rounds * sessions)));
}

/** Blocks one below the other. No blocks make a tensor of shape [0]. */
function joined(blocks: readonly Tensor[]): Tensor {
  const [first] = blocks;
  if (!first) return { dims: [0], data: new Float32Array() };
  const rows = blocks.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const data = new Float32Array(blocks.reduce((sum, block) => sum + block.data.length, 0));
  let at = 0;
  for (const block of blocks) {
    data.set(block.data, at);
    at += block.data.length;
  }
  return { dims: [rows, ...first.dims.slice(1)], data };
}

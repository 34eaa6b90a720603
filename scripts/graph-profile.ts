import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** What a graph did while it was profiled. */
export interface GraphProfile {
  /** FLOPs of all matrix products, attentions and convolutions, by the shapes that really went through them. */
  readonly flops: number;
  /** Milliseconds in all operators. */
  readonly ms: number;
  /** Milliseconds by kind of operator, longest first. */
  readonly msByOperator: Readonly<Record<string, number>>;
}

interface NodeEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

type Shape = readonly number[];

const size = (shape: Shape): number => shape.reduce((product, dim) => product * dim, 1);

/** A product of [..., m, k] and [..., k, n]; the first factor may be transposed, and weights may be packed and shapeless. */
function product([a]: readonly Shape[], out: Shape): number {
  const rows = out.at(-2) ?? 1;
  const k = a!.length < 2 ? a!.at(-1)! : (a!.at(-1)! * a!.at(-2)!) / rows;
  return 2 * size(out) * k;
}

/** Channels in, times the kernel's area: what one weight row of [out, in, kh, kw] has. */
function convolution([, weights]: readonly Shape[], out: Shape): number {
  return (2 * size(out) * size(weights!)) / weights![0]!;
}

/** Query [b, l, c] against keys [b, s, c] or [b, h, s, d]: scores and weighted sum. */
function attention([query, keys]: readonly Shape[]): number {
  const context = keys!.length === 4 ? keys![2]! : keys![1]!;
  return 4 * size(query!) * context;
}

const COUNTERS: Readonly<Record<string, (inputs: readonly Shape[], out: Shape) => number>> = {
  MatMul: product,
  FusedMatMul: product,
  Gemm: product,
  FusedGemm: product,
  MatMulNBits: ([a], out) => 2 * size(out) * a!.at(-1)!,
  Conv: convolution,
  FusedConv: convolution,
  NhwcFusedConv: convolution,
  MultiHeadAttention: attention,
};

/**
 * Reads the profile of a graph that ONNX Runtime wrote (`OrtOptions.profile`).
 *
 * @param dir   folder of the profiles
 * @param graph file name of the graph, with which the profile's name begins
 */
export async function readGraphProfile(dir: string, graph: string): Promise<GraphProfile> {
  const name = (await readdir(dir)).find((file) => file.startsWith(`${graph}_`));
  if (name === undefined) throw new Error(`${dir} has no profile of ${graph}`);
  const events = JSON.parse(await readFile(join(dir, name), "utf8")) as NodeEvent[];
  let flops = 0;
  const times = new Map<string, number>();
  for (const { cat, name: node, dur, args } of events) {
    const operator = args?.op_name;
    if (cat !== "Node" || operator === undefined || !node.endsWith("_kernel_time")) continue;
    times.set(operator, (times.get(operator) ?? 0) + dur / 1000);
    const shapes = (list: readonly Readonly<Record<string, Shape>>[] = []): Shape[] =>
      list.map((entry) => Object.values(entry)[0] ?? []);
    const [out] = shapes(args?.output_type_shape);
    const count = COUNTERS[operator];
    if (count && out) flops += count(shapes(args?.input_type_shape), out);
  }
  return {
    flops,
    ms: [...times.values()].reduce((sum, ms) => sum + ms, 0),
    msByOperator: Object.fromEntries([...times].sort(([, a], [, b]) => b - a)),
  };
}

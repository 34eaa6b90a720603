import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { TtsVarError } from "../../core/errors.ts";
import { sizeOf, type Tensor } from "../../core/tensor.ts";
import { fromHalf, toHalf } from "./half.ts";
import { importOnnxRuntime } from "./native.ts";
import { provider } from "./provider.ts";

/** Token ids and the like; only inputs have them. */
export interface IntTensor {
  readonly dims: readonly number[];
  readonly data: BigInt64Array;
}

/** Bits of half-precision numbers, as a graph gave them: passed on, never computed with. */
export interface HalfTensor {
  readonly dims: readonly number[];
  readonly data: Uint16Array;
}

/** One byte each, 0 or 1; only inputs are such. */
export interface BoolTensor {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

export type Feeds = Readonly<Record<string, Tensor | IntTensor | HalfTensor | BoolTensor>>;

/** One ONNX graph on the CPU. `run` computes on the calling thread, which stands still meanwhile. */
export interface OrtSession extends AsyncDisposable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /**
   * @param feeds   one tensor per input; shapes are checked, symbolic axes of equal name must agree
   * @param fetches outputs to return (default: all); what is not asked for is not copied
   */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>;
  /** Like `run`, but half-precision outputs stay what they are. Caches go back as they came. */
  runRaw(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor | HalfTensor>>;
  /** Type of an input: `float32`, `float16`, `int64`, ... Numbers are narrowed for half-precision inputs. */
  typeOf(input: string): string | null;
}

export interface OrtOptions {
  /** Threads of one operator. Results do not depend on it (see decision record 0003). */
  readonly threads?: number;
  /** Graphs of others may give different axes one name: only types and numbers of axes are compared. */
  readonly looseAxes?: boolean;
  /** Write shapes and times of all operators to a file with this prefix when the session is closed. */
  readonly profile?: string;
  /** The graph itself, in place of the file's content; weights beside the file are found as if it were. */
  readonly graph?: Uint8Array;
}

/** Threads for one session unless configured: all cores, but no more than four, which small graphs cannot use. */
export function defaultThreads(): number {
  return Math.min(4, availableParallelism());
}

/** Session options shared by our own sessions and those of transformers.js. */
export function sessionOptions(options: OrtOptions): InferenceSession.SessionOptions {
  return {
    // DirectML allows none.
    enableMemPattern: provider() !== "dml",
    executionProviders: [provider()],
    graphOptimizationLevel: "all",
    executionMode: "sequential",
    intraOpNumThreads: options.threads ?? defaultThreads(),
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile }),
    // Waiting threads sleep: other sessions, the reward and other processes share the same cores.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  };
}

/**
 * Loads a graph.
 *
 * @throws TtsVarError MODEL_RUNTIME if the runtime refuses it
 */
export async function openOrtSession(file: string, options: OrtOptions = {}): Promise<OrtSession> {
  const ort = await importOnnxRuntime();
  let session: InferenceSession;
  try {
    session =
      options.graph === undefined
        ? await ort.InferenceSession.create(file, sessionOptions(options))
        : await ort.InferenceSession.create(options.graph, besideFile(sessionOptions(options), file));
  } catch (cause) {
    const where =
      provider() === "cpu"
        ? ""
        : ` with the provider ${provider()} (\`tts-var doctor\` says which work here)`;
    const message = `onnxruntime cannot load ${file}${where}: ${messageOf(cause)}`;
    throw new TtsVarError("MODEL_RUNTIME", message, { cause });
  }
  const types = new Map(
    session.inputMetadata.map((input) => [input.name, input.isTensor ? input.type : null]),
  );
  const runRaw: OrtSession["runRaw"] = async (feeds, fetches = session.outputNames) => {
    checkFeeds(session.inputMetadata, feeds, file, options.looseAxes);
    const inputs: Record<string, OrtTensor> = {};
    for (const name of session.inputNames) inputs[name] = toOrt(ort.Tensor, feeds[name]!, types.get(name));
    let outputs: InferenceSession.OnnxValueMapType;
    try {
      outputs = await session.run(inputs, fetches as string[]);
    } catch (cause) {
      throw new TtsVarError("MODEL_RUNTIME", `${file} failed: ${messageOf(cause)}`, { cause });
    }
    const result: Record<string, Tensor | HalfTensor> = {};
    for (const name of fetches) result[name] = fromOrt(outputs[name] as OrtTensor, name, file);
    return result;
  };
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    runRaw,
    typeOf: (input) => types.get(input) ?? null,
    async run(feeds, fetches) {
      const outputs = await runRaw(feeds, fetches);
      return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, widened(tensor)]));
    },
    async [Symbol.asyncDispose]() {
      if (options.profile !== undefined) session.endProfiling();
      await session.release();
    },
  };
}

/** A graph from memory looks for its weights in a folder that has to be named. */
function besideFile(options: InferenceSession.SessionOptions, file: string): InferenceSession.SessionOptions {
  const folder = { model_external_initializers_file_folder_path: dirname(file) };
  const extra = (options.extra ?? {}) as { readonly session?: object };
  return { ...options, extra: { ...extra, session: { ...extra.session, ...folder } } };
}

function toOrt(
  TensorClass: typeof OrtTensor,
  { dims, data }: Feeds[string],
  type: string | null | undefined,
): OrtTensor {
  if (data instanceof BigInt64Array) return new TensorClass("int64", data, dims);
  if (data instanceof Uint8Array) return new TensorClass("bool", data, dims);
  if (data instanceof Uint16Array) return new TensorClass("float16", data, dims);
  if (type === "float16") return new TensorClass("float16", toHalf(data), dims);
  return new TensorClass("float32", data, dims);
}

function fromOrt(tensor: OrtTensor, name: string, file: string): Tensor | HalfTensor {
  const { type, dims, data } = tensor;
  if (data instanceof Float32Array) return { dims, data };
  if (type === "float16") {
    // Newer Nodes have an array of their own for it.
    const view = data as Uint16Array;
    return { dims, data: new Uint16Array(view.buffer, view.byteOffset, view.length) };
  }
  throw new TtsVarError(
    "MODEL_RUNTIME",
    `output ${name} of ${file} is ${type}; export the graph with float32 outputs`,
  );
}

function widened({ dims, data }: Tensor | HalfTensor): Tensor {
  return { dims, data: data instanceof Uint16Array ? fromHalf(data) : data };
}

/**
 * Compares feeds with the graph's declaration, so that a mistake names the input instead of an operator deep inside.
 *
 * @throws TtsVarError MODEL_RUNTIME
 */
export function checkFeeds(
  metadata: readonly InferenceSession.ValueMetadata[],
  feeds: Feeds,
  file: string,
  looseAxes = false,
): void {
  const axes = new Map<string, { size: number; input: string }>();
  const fail: (message: string) => never = (message) => {
    throw new TtsVarError("MODEL_RUNTIME", `${file}: ${message}`);
  };
  for (const input of metadata) {
    if (!input.isTensor) continue;
    const feed = feeds[input.name];
    if (!feed) fail(`input ${input.name} is missing; given: ${Object.keys(feeds).join(", ")}`);
    const { dims, data } = feed;
    const shape = `[${dims.join(", ")}]`;
    if (dims.length !== input.shape.length) {
      fail(`input ${input.name} must have the shape [${input.shape.join(", ")}], not ${shape}`);
    }
    if (data.length !== sizeOf(dims)) {
      fail(`input ${input.name} has ${data.length} values, which do not make the shape ${shape}`);
    }
    if (looseAxes) continue;
    input.shape.forEach((declared, axis) => {
      const size = dims[axis]!;
      if (typeof declared === "number") {
        if (declared >= 0 && declared !== size) {
          fail(`input ${input.name} must have the shape [${input.shape.join(", ")}], not ${shape}`);
        }
        return;
      }
      const bound = axes.get(declared);
      if (!bound) axes.set(declared, { size, input: input.name });
      else if (bound.size !== size && declared !== "") {
        fail(`axis ${declared} is ${bound.size} in input ${bound.input} but ${size} in input ${input.name}`);
      }
    });
  }
  const names = new Set(metadata.map((input) => input.name));
  const unknown = Object.keys(feeds).filter((name) => !names.has(name));
  if (unknown.length > 0) fail(`has no input ${unknown.join(", ")}; its inputs are ${[...names].join(", ")}`);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

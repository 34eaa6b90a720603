/**
 * Edits of a serialised ONNX graph that need no weights: the attention queries of a cached step graph as further outputs,
 * and an axis of its own for the past of every layer. Only the few protobuf fields that are touched are read; everything
 * else is copied as it is, so that the graph computes what it did.
 */

/** One field of a protobuf message. */
interface Field {
  readonly number: number;
  /** The whole field with its tag. */
  readonly raw: Uint8Array;
  /** Content of a length-delimited field; null for numbers. */
  readonly content: Uint8Array | null;
}

// Field numbers of onnx.proto.
const MODEL = { graph: 7 };
const GRAPH = { node: 1, input: 11, output: 12 };
const NODE = { input: 1, output: 2, type: 4 };
const VALUE = { name: 1, type: 2 };
const TENSOR = 1;
const TYPE = { element: 1, shape: 2 };
const DIM = { entry: 1, param: 2 };
const FLOAT = 1;

interface Node {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface TappedGraph {
  readonly bytes: Uint8Array;
  /** Output with the queries of each layer's attention to itself: [rows, heads, tokens, dim] or [rows, tokens, heads * dim]. */
  readonly queries: readonly string[];
}

/**
 * The step graph of a model with cached keys, with its queries as outputs and the axis `P_i` for the past of layer i.
 *
 * @param layers number of inputs `past_k_i` (and `past_v_i`)
 * @throws RangeError when the attention of a layer is not found
 */
export function tapQueries(model: Uint8Array, layers: number): TappedGraph {
  const fields = fieldsOf(model);
  const graph = fieldsOf(only(fields, MODEL.graph));
  const nodes = graph.filter(({ number }) => number === GRAPH.node).map(({ content }) => nodeOf(content!));
  const queries = Array.from({ length: layers }, (_, layer) => queryOf(nodes, `past_k_${layer}`));
  const inner = graph.map((field) => (field.number === GRAPH.input ? renamedAxis(field) : field.raw));
  const tapped = bytesField(MODEL.graph, joined([...inner, ...[...new Set(queries)].map(floatOutput)]));
  return {
    bytes: joined(fields.map(({ number, raw }) => (number === MODEL.graph ? tapped : raw))),
    queries,
  };
}

/** The other factor of the product that the past keys end up in: Concat, Transpose, perhaps Reshape, then attention. */
function queryOf(nodes: readonly Node[], past: string): string {
  let value = past;
  for (let hop = 0; hop < 6; hop++) {
    const users = nodes.filter(({ inputs }) => inputs.includes(value));
    const attention = users.find(({ type }) => type === "MatMul" || type === "MultiHeadAttention");
    if (attention && attention.inputs[1] === value) return attention.inputs[0]!;
    const next = users.find(({ type }) => ["Concat", "Transpose", "Reshape"].includes(type));
    if (!next) break;
    value = next.outputs[0]!;
  }
  throw new RangeError(`the attention that reads ${past} was not found`);
}

/** An input `past_k_3` whose axis P is called P_3 from now on. */
function renamedAxis({ raw, content }: Field): Uint8Array {
  const value = fieldsOf(content!);
  const name = textOf(only(value, VALUE.name));
  const layer = /^past_[kv]_(\d+)$/.exec(name)?.[1];
  if (layer === undefined) return raw;
  const rebuilt = within(value, VALUE.type, (type) =>
    within(fieldsOf(type), TENSOR, (tensor) =>
      within(fieldsOf(tensor), TYPE.shape, (shape) =>
        within(fieldsOf(shape), DIM.entry, (dim) =>
          within(fieldsOf(dim), DIM.param, (param) =>
            textOf(param) === "P" ? new TextEncoder().encode(`P_${layer}`) : param,
          ),
        ),
      ),
    ),
  );
  return bytesField(GRAPH.input, rebuilt);
}

function floatOutput(name: string): Uint8Array {
  const tensor = Uint8Array.of(TYPE.element << 3, FLOAT);
  const type = bytesField(VALUE.type, bytesField(TENSOR, tensor));
  return bytesField(GRAPH.output, joined([bytesField(VALUE.name, new TextEncoder().encode(name)), type]));
}

function nodeOf(content: Uint8Array): Node {
  const fields = fieldsOf(content);
  const texts = (wanted: number): string[] =>
    fields.filter(({ number }) => number === wanted).map((field) => textOf(field.content!));
  return { type: texts(NODE.type)[0] ?? "", inputs: texts(NODE.input), outputs: texts(NODE.output) };
}

/** A message with the content of one kind of its fields changed. */
function within(
  fields: readonly Field[],
  number: number,
  change: (content: Uint8Array) => Uint8Array,
): Uint8Array {
  return joined(
    fields.map((field) =>
      field.number === number && field.content ? bytesField(number, change(field.content)) : field.raw,
    ),
  );
}

function only(fields: readonly Field[], number: number): Uint8Array {
  const found = fields.find((field) => field.number === number)?.content;
  if (!found) throw new RangeError(`this is no ONNX graph: field ${number} is missing`);
  return found;
}

/** @throws RangeError for bytes that are no protobuf message */
function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < message.length; ) {
    const start = at;
    const tag = varint(message, at);
    at = tag.next;
    const kind = tag.value & 7;
    let content: Uint8Array | null = null;
    if (kind === 0) at = varint(message, at).next;
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint(message, at);
      at = length.next + length.value;
      content = message.subarray(length.next, at);
    } else throw new RangeError(`this is no ONNX graph: wire type ${kind} at byte ${start}`);
    if (at > message.length) throw new RangeError("this is no ONNX graph: it ends within a field");
    fields.push({ number: Math.floor(tag.value / 8), raw: message.subarray(start, at), content });
  }
  return fields;
}

/** Numbers above 2^53 only occur where nobody reads them. */
function varint(bytes: Uint8Array, from: number): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let at = from, factor = 1; at < bytes.length; at++, factor *= 128) {
    value += (bytes[at]! & 127) * factor;
    if (bytes[at]! < 128) return { value, next: at + 1 };
  }
  throw new RangeError("this is no ONNX graph: it ends within a number");
}

function bytesField(number: number, content: Uint8Array): Uint8Array {
  const head: number[] = [];
  for (let rest of [number * 8 + 2, content.length]) {
    for (; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) + 128);
    head.push(rest);
  }
  return joined([Uint8Array.from(head), content]);
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

import type { CandidateId } from "../../core/ids.ts";
import type { Rng, RngStream } from "../../core/rng.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { drawBits } from "./draw-bits.ts";
import type { Network } from "./network.ts";
import type { SamplingSettings } from "./settings.ts";
import type { TokenCode } from "./token-code.ts";

/** A candidate's tokens of a stage that may still be drawn again. */
export interface Draft {
  readonly id: CandidateId;
  /** Cumulative code before the stage; null at the first. */
  readonly before: Float32Array | null;
  readonly bits: Uint8Array;
  /** Log-probability of each token, under the distribution it was drawn from. */
  readonly confidence: Float64Array;
}

/** What masked passes need of a session. */
export interface MaskedContext<State> {
  readonly network: Network<State>;
  readonly code: TokenCode;
  readonly settings: SamplingSettings;
  readonly rng: Rng;
}

/**
 * The masked passes of a stage (Kumbong et al. 2025, HMAR): the least certain tokens are drawn again, seeing the others, and
 * of these again the least certain. Masked sets are nested; guidance is off, as in the paper. Confidence is the sum of the
 * bits' log-probabilities (the paper's tokens have one probability each).
 *
 * @param passes tokens that are settled in each pass; the first were drawn by the stage itself
 */
export async function settle<State>(
  context: MaskedContext<State>,
  state: State,
  stage: number,
  passes: readonly number[],
  drafts: readonly Draft[],
): Promise<readonly Draft[]> {
  let current = drafts;
  let masks: readonly (readonly number[])[] = drafts.map(({ confidence }) => [...confidence.keys()]);
  for (let pass = 1; pass < passes.length; pass++) {
    const open = passes.slice(pass).reduce((sum, count) => sum + count, 0);
    masks = current.map((draft, row) => leastCertain(draft, masks[row]!, open));
    current = await redraw(context, state, stage, pass, current, masks);
  }
  return current;
}

/** Of some tokens, the `count` with the lowest confidence; of equals, the earlier. */
export function leastCertain({ confidence }: Draft, from: readonly number[], count: number): number[] {
  return [...from].sort((a, b) => confidence[a]! - confidence[b]! || a - b).slice(0, count);
}

/**
 * One masked pass.
 *
 * @param pass  number of the pass within the stage, which has its own draws
 * @param masks tokens to draw, by candidate
 */
export async function redraw<State>(
  { network, code, settings, rng }: MaskedContext<State>,
  state: State,
  stage: number,
  pass: number,
  drafts: readonly Draft[],
  masks: readonly (readonly number[])[],
): Promise<readonly Draft[]> {
  const [tokens, width] = [code.tokens(stage), code.tokenChannels];
  const masked = new Float32Array(drafts.length * tokens);
  masks.forEach((mask, row) => {
    for (const token of mask) masked[row * tokens + token] = 1;
  });
  const values = stacked(drafts.map(({ bits }) => code.values!(bits, stage)));
  const delta = await network.revise!(state, {
    stage,
    width: drafts.length,
    z: inputOf(code, stage, drafts),
    values: { dims: [drafts.length, tokens, width], data: values },
    masked: { dims: [drafts.length, tokens, 1], data: masked },
  });
  const flat: Tensor = { dims: [drafts.length, tokens * width], data: delta.data };
  const how = {
    guidance: 1,
    temperature: settings.temperature[stage]!,
    topP: settings.topP,
    topK: settings.topK,
    width,
  };
  return drafts.map((draft, row) => {
    const stream = shifted(rng.stream("token", draft.id, stage), pass * tokens * width);
    const drawn = drawBits(rowOf(flat, row), null, how, stream);
    const [bits, confidence] = [draft.bits.slice(), draft.confidence.slice()];
    for (const token of masks[row]!) {
      bits.set(drawn.bits.subarray(token * width, (token + 1) * width), token * width);
      confidence[token] = drawn.byToken[token]!;
    }
    return { ...draft, bits, confidence };
  });
}

function inputOf(code: TokenCode, stage: number, drafts: readonly Draft[]): Tensor | null {
  if (stage === 0) return null;
  const size = code.tokens(stage) * code.tokenChannels;
  const data = new Float32Array(drafts.length * size);
  drafts.forEach(({ before }, row) => {
    code.input(before!, stage, data.subarray(row * size, (row + 1) * size));
  });
  return { dims: [drafts.length, code.tokens(stage), code.tokenChannels], data };
}

function stacked(rows: readonly Float32Array[]): Float32Array {
  const data = new Float32Array(rows.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const row of rows) {
    data.set(row, at);
    at += row.length;
  }
  return data;
}

/** The same stream, further on. */
function shifted(stream: RngStream, by: number): RngStream {
  return {
    uniform: (position) => stream.uniform(position + by),
    normal: (position) => stream.normal(position + by),
    fill(out) {
      for (let position = 0; position < out.length; position++) out[position] = stream.uniform(position + by);
    },
  };
}

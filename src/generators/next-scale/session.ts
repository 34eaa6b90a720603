import { createHash } from "node:crypto";
import { TtsVarError } from "../../core/errors.ts";
import type { LatentSize, Pick, SampleRequest, Session, StageSignals } from "../../core/generator.ts";
import type { CandidateId } from "../../core/ids.ts";
import type { RgbImage } from "../../core/image.ts";
import { createRng, type Rng } from "../../core/rng.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { checkSettings } from "../definition.ts";
import type { BitCode } from "./bit-code.ts";
import { type Drawn, drawBits } from "./draw-bits.ts";
import { decodeBlock } from "./infinity/memory.ts";
import type { StageModel } from "./network.ts";
import { reduceArea } from "./resize.ts";
import { toImage } from "./to-image.ts";

/** A candidate. Nothing in it is ever changed, so copies share everything. */
interface Row {
  readonly id: CandidateId;
  readonly code: Float32Array | null;
  readonly bits: readonly Uint8Array[];
}

interface Progress<State> {
  readonly stage: number;
  readonly rows: readonly Row[];
  readonly state: State;
}

/** What all sessions of one `start` have in common. */
interface SessionContext<State> {
  readonly model: StageModel<State>;
  readonly code: BitCode;
  readonly request: SampleRequest;
  readonly rng: Rng;
}

/**
 * Begins a population over any bitwise next-scale model.
 *
 * @throws TtsVarError CONFIG_INVALID for settings or forced bits that do not fit the scales
 */
export async function startSession<State>(
  model: StageModel<State>,
  code: BitCode,
  request: SampleRequest,
): Promise<Session> {
  checkSettings(request.settings, code.stages);
  const forced = request.forcedBits ?? [];
  if (forced.length > code.stages) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `forced bits of ${forced.length} scales are given, but the model has ${code.stages}`,
    );
  }
  forced.forEach((bits, scale) => {
    const needed = code.tokens(scale) * code.tokenChannels;
    if (bits.length === needed) return;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `forced bits of scale ${scale}: ${bits.length} given, ${needed} needed`,
    );
  });
  const rows = request.ids.map((id) => ({ id, code: null, bits: [] }));
  const rng = createRng(request.seed, request.prompt);
  const state = await model.begin(request);
  return new BitSession({ model, code, request, rng }, { stage: 0, rows, state });
}

/** A population of bitwise next-scale candidates; see `Session`. */
class BitSession<State> implements Session {
  readonly #context: SessionContext<State>;
  #progress: Progress<State> | null;

  constructor(context: SessionContext<State>, progress: Progress<State>) {
    this.#context = context;
    this.#progress = progress;
  }

  get ids(): readonly CandidateId[] {
    return this.#alive().rows.map((row) => row.id);
  }

  get stage(): number {
    return this.#alive().stage;
  }

  async step(): Promise<StageSignals> {
    const { stage, rows, state } = this.#alive();
    const { model, code, request } = this.#context;
    if (stage >= code.stages) throw new RangeError(`all ${code.stages} stages are done`);
    const guided = stage < request.settings.guidanceUntil;
    // As long as no candidate has drawn anything, all are one: the first stage, and those that follow forced bits.
    const alike = stage <= (request.forcedBits?.length ?? 0);
    const different = alike ? rows.slice(0, 1) : rows;
    const z = this.#input(stage, different);
    const before = alike ? model.select(state, [0]) : state;
    const output = await model.run(before, { stage, width: different.length, z, guided });
    const after = alike ? model.select(output.state, new Array(rows.length).fill(0)) : output.state;
    const drawn = rows.map((row, index) => this.#draw(output.delta, stage, row, index));
    const next = rows.map((row, index) => ({
      id: row.id,
      code: code.add(row.code, drawn[index]!.bits, stage),
      bits: [...row.bits, drawn[index]!.bits],
    }));
    this.#progress = { stage: stage + 1, rows: next, state: after };
    return {
      logProb: Float64Array.from(drawn, (candidate) => candidate.logProb),
      entropy: Float64Array.from(drawn, (candidate) => candidate.entropy),
      guidanceGap: Float64Array.from(drawn, (candidate) => candidate.guidanceGap),
      tokenHash: drawn.map(({ bits }) => createHash("sha256").update(bits).digest("hex").slice(0, 16)),
    };
  }

  async select(picks: readonly Pick[]): Promise<void> {
    this.#progress = this.#picked(picks);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    return new BitSession(this.#context, this.#picked(picks));
  }

  async decode(rows: readonly number[], latent?: LatentSize): Promise<RgbImage[]> {
    const { code } = this.#context;
    const size = latent ?? code.latent;
    checkSize(size, code.latent);
    const block = decodeBlock(size);
    const images: RgbImage[] = [];
    for (let start = 0; start < rows.length; start += block) {
      const part = rows.slice(start, start + block);
      const stride = code.channels * size.h * size.w;
      const data = new Float32Array(part.length * stride);
      part.forEach((index, at) => {
        const { code: cumulative } = this.#row(index);
        if (!cumulative) throw new RangeError("there is nothing to decode before the first stage");
        data.set(reduceArea(cumulative, code.channels, code.latent, size), at * stride);
      });
      const decoded = await this.#context.model.decode({
        dims: [part.length, code.channels, size.h, size.w],
        data,
      });
      for (let at = 0; at < part.length; at++) images.push(toImage(decoded, at));
    }
    return images;
  }

  async bits(row: number): Promise<Uint8Array[]> {
    return [...this.#row(row).bits];
  }

  release(): void {
    this.#progress = null;
  }

  #alive(): Progress<State> {
    if (!this.#progress) throw new TtsVarError("INTERNAL", "this session was released");
    return this.#progress;
  }

  #row(index: number): Row {
    const { rows } = this.#alive();
    const row = rows[index];
    if (!row) throw new RangeError(`row ${index} is outside 0..${rows.length - 1}`);
    return row;
  }

  #picked(picks: readonly Pick[]): Progress<State> {
    const { stage, rows, state } = this.#alive();
    const next = picks.map(({ parent, id }) => ({ ...this.#row(parent), id }));
    const same = picks.length === rows.length && picks.every(({ parent }, index) => parent === index);
    const parents = picks.map(({ parent }) => parent);
    return { stage, rows: next, state: same ? state : this.#context.model.select(state, parents) };
  }

  #input(stage: number, rows: readonly Row[]): Tensor | null {
    if (stage === 0) return null;
    const { code } = this.#context;
    const stride = code.tokens(stage) * code.tokenChannels;
    const data = new Float32Array(rows.length * stride);
    rows.forEach((row, index) => {
      code.input(row.code!, stage, data.subarray(index * stride, (index + 1) * stride));
    });
    return { dims: [rows.length, code.tokens(stage), code.tokenChannels], data };
  }

  #draw(delta: Tensor, stage: number, row: Row, index: number): Drawn {
    const { request, rng } = this.#context;
    const [groups, shared] = delta.dims as [number, number];
    const at = shared === 1 ? 0 : index;
    const flat: Tensor = { dims: [groups * shared, delta.data.length / (groups * shared)], data: delta.data };
    const settings = {
      guidance: request.settings.guidance[stage]!,
      temperature: request.settings.temperature[stage]!,
      topP: request.settings.topP,
      topK: request.settings.topK,
    };
    const stream = rng.stream("token", row.id, stage);
    try {
      const uncond = groups === 2 ? rowOf(flat, shared + at) : null;
      return drawBits(rowOf(flat, at), uncond, settings, stream, request.forcedBits?.[stage]);
    } catch (cause) {
      throw new TtsVarError(
        "MODEL_RUNTIME",
        `the generator gave no usable logits for candidate ${row.id} at scale ${stage}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}

function checkSize(size: LatentSize, full: LatentSize): void {
  const fits = (value: number, limit: number) => Number.isInteger(value) && value >= 1 && value <= limit;
  if (fits(size.h, full.h) && fits(size.w, full.w)) return;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `cannot decode at ${size.h}x${size.w}: sizes go from 1x1 to the full latent, ${full.h}x${full.w}`,
  );
}

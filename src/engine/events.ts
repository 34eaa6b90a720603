import type { Spending } from "../core/budget.ts";
import type { StageSignals } from "../core/generator.ts";
import { bitsOfBytes, bytesOfBits } from "../core/packed-bits.ts";
import type { Population, SearchAction, SearchOutcome, Why } from "../core/strategy.ts";
import { sizeOf, type Tensor } from "../core/tensor.ts";
import type { TraceEvent } from "../core/trace.ts";

/**
 * Builds trace events from actions and observations. Live runs and replays build them with the same functions, so a
 * replay can be compared with its recording line by line.
 */

export function startEvent(population: Population): TraceEvent {
  return { type: "start", population: population.key, ids: population.ids };
}

export function stepEvent(population: Population, signals: StageSignals): TraceEvent {
  return {
    type: "step",
    population: population.key,
    scale: population.stage - 1,
    ids: population.ids,
    tokens: signals.tokenHash,
    logProb: Array.from(signals.logProb),
    entropy: Array.from(signals.entropy),
    guidanceGap: Array.from(signals.guidanceGap),
  };
}

export function scoresEvent(action: SearchAction & { type: "score" }, raw: readonly number[]): TraceEvent {
  const { population, rows, reward, latent } = action;
  return {
    type: "scores",
    population: population.key,
    scale: population.stage - 1,
    reward,
    latent,
    ids: rows.map((row) => population.ids[row]!),
    raw,
  };
}

export function featuresEvent(action: SearchAction & { type: "features" }, features: Tensor): TraceEvent {
  const { data } = features;
  return {
    type: "features",
    population: action.population.key,
    scale: action.population.stage - 1,
    latent: action.latent,
    ids: action.population.ids,
    dims: features.dims,
    base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64"),
  };
}

/** The vectors of a recorded `features` event. */
export function recordedFeatures(event: TraceEvent & { type: "features" }): Tensor {
  const bytes = Uint8Array.from(Buffer.from(event.base64, "base64"));
  return { dims: event.dims, data: new Float32Array(bytes.buffer) };
}

export function tokensEvent(action: SearchAction & { type: "tokens" }, { dims, data }: Tensor): TraceEvent {
  return {
    type: "tokens",
    population: action.population.key,
    scale: action.population.stage - 1,
    ids: action.population.ids,
    dims,
    base64: Buffer.from(bytesOfBits(data)).toString("base64"),
  };
}

/** The bits of a recorded `tokens` event. */
export function bitsTensor({
  dims,
  base64,
}: Pick<TraceEvent & { type: "tokens" }, "dims" | "base64">): Tensor {
  return { dims, data: Float32Array.from(bitsOfBytes(Buffer.from(base64, "base64"), sizeOf(dims))) };
}

export function selectionEvent(
  action: SearchAction & { type: "select" | "branch" },
  child: Population,
): TraceEvent {
  return {
    type: action.type,
    population: child.key,
    from: action.population.key,
    picks: action.picks,
    ids: child.ids,
    why: rounded(action.why) as Why,
  };
}

export function endEvent(outcome: SearchOutcome, spending: Spending): TraceEvent {
  const { ids } = outcome.finalists;
  return { type: "end", best: ids[outcome.best]!, finalists: ids, spending };
}

/**
 * Explanations keep nine significant digits: enough to read and compare, and free of the last bits in which
 * mathematical functions of different platforms may differ. Nothing is decided from them.
 */
function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? Number(value.toPrecision(9)) : String(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array, rounded);
  if (Array.isArray(value)) return value.map(rounded);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, rounded(part)]));
  }
  return value;
}

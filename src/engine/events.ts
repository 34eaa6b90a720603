import type { Spending } from "../core/budget.ts";
import type { Booked } from "../core/drive.ts";
import type { GeneratorTraits, StageSignals } from "../core/generator.ts";
import { type SearchOutcome, SIGHT_OF, type Sight, type Sights, type Why } from "../core/program.ts";
import type { Reward } from "../core/reward.ts";
import { recordTask, type Task } from "../core/task.ts";
import type { Tensor } from "../core/tensor.ts";
import { bytesOfTokens, TOKEN_DTYPES, type TokenKind, type Tokens, tokensOfBytes } from "../core/tokens.ts";
import type { TraceEvent, VerbOf } from "../core/trace.ts";

/**
 * Builds trace events from booked actions and what was seen of them. Live runs and replays build them with the same
 * function, so a replay can be compared with its recording line by line.
 */

/** What events need to know of the run. */
export interface Telling {
  readonly tokens: TokenKind;
  readonly rewards: Readonly<Record<string, Pick<Reward, "direction">>>;
}

/** The event of an action. */
export function eventOf({ action, next }: Booked, seen: Sights[Sight], run: Telling): TraceEvent {
  const { key, ids } = next;
  const stage = next.stage - 1;
  switch (action.type) {
    case "start":
      return { type: "start", population: key, ids };
    case "score": {
      const { rows, reward, view } = action;
      const scored = rows.map((row) => ids[row]!);
      // Higher is better for strategies; a trace keeps scores as the reward gave them.
      const raw = Array.from(oriented(seen as Float64Array, run.rewards[reward]!));
      return { type: "scores", population: key, stage, reward, view, ids: scored, raw };
    }
    case "atoms": {
      const { reward, view } = action;
      return { type: "atoms", population: key, stage, reward, view, ids, atoms: seen as Sights["atoms"] };
    }
    case "features": {
      const { dims, data } = seen as Tensor;
      const base64 = base64Of(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return { type: "features", population: key, stage, view: action.view, ids, dims, base64 };
    }
    case "tokens": {
      const rows = seen as readonly Tokens[];
      const kind = run.tokens;
      return {
        type: "tokens",
        population: key,
        stage,
        ids,
        kind,
        dtype: TOKEN_DTYPES[kind.kind],
        count: rows[0]?.count ?? 0,
        base64: rows.map((tokens) => base64Of(bytesOfTokens(kind, tokens))),
      };
    }
    case "select":
    case "branch": {
      const { population, picks, why } = action;
      return {
        type: action.type,
        population: key,
        from: population.key,
        picks,
        ids,
        why: rounded(why) as Why,
      };
    }
    case "release":
      return { type: "release", population: key };
    default: {
      // Any other verb: what it asked for, where that led, and the signals where it shows some.
      const { type, population: _, ...asked } = action;
      const verb: VerbOf<"nothing" | "signals"> = type;
      const shown = SIGHT_OF[verb] === "signals" ? signalFields(seen as StageSignals) : {};
      return { type: verb, population: key, stage, ids, ...asked, ...shown } as TraceEvent;
    }
  }
}

function signalFields({ tokenHash, values }: StageSignals): Pick<EventOf<"step">, "tokens" | "signals"> {
  const lists = Object.entries(values).map(([name, list]) => [name, Array.from(list)] as const);
  return { tokens: tokenHash, signals: Object.fromEntries(lists) };
}

export function beginEvent(run: {
  readonly task: Task;
  readonly strategy: { readonly name: string; readonly options: unknown };
  readonly generator: Pick<GeneratorTraits, "name" | "version" | "shape" | "settings">;
  readonly reward: string;
  readonly units: number;
  readonly limit: number;
}): TraceEvent {
  const { name, version, shape, settings } = run.generator;
  return {
    type: "begin",
    schemaVersion: 2,
    task: recordTask(run.task),
    strategy: run.strategy,
    generator: { name, version, shape: shape.id, settings },
    reward: run.reward,
    units: run.units,
    limit: run.limit,
  };
}

export function endEvent({ finalists: { ids }, best }: SearchOutcome, spending: Spending): TraceEvent {
  return { type: "end", best: ids[best]!, finalists: ids, spending };
}

/** Scores with higher meaning better, or back to how the reward gave them. */
export function oriented(scores: ArrayLike<number>, { direction }: Pick<Reward, "direction">): Float64Array {
  return Float64Array.from(scores, (value) => (direction === "lower" ? -value : value));
}

/** The vectors of a recorded `features` event. */
export function recordedFeatures({ dims, base64 }: Pick<EventOf<"features">, "dims" | "base64">): Tensor {
  return { dims, data: new Float32Array(bytesOf(base64).buffer) };
}

/** The tokens of a recorded `tokens` event. */
export function recordedTokens({
  kind,
  count,
  base64,
}: Pick<EventOf<"tokens">, "kind" | "count" | "base64">): Tokens[] {
  return base64.map((text) => tokensOfBytes(kind, count, bytesOf(text)));
}

/** The signals of a recorded `step` or `refine` event. */
export function recordedSignals({
  tokens,
  signals,
}: Pick<EventOf<"step">, "tokens" | "signals">): StageSignals {
  const values = Object.entries(signals).map(([name, list]) => [name, Float64Array.from(list)] as const);
  return { tokenHash: tokens, values: Object.fromEntries(values) };
}

/** An event of one type. */
export type EventOf<Type extends TraceEvent["type"]> = TraceEvent & { type: Type };

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** A copy of its own, so that it is aligned for elements of any size. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(base64, "base64"));
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

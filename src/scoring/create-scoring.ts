import { canonicalJson } from "../core/canonical-json.ts";
import { withDeadline } from "../core/deadline.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Reward, RewardContext, RewardItem, RewardScores } from "../core/reward.ts";
import { checkScores, listIds } from "./check-scores.ts";
import { type ScoredItem, ScoreMemo } from "./score-memo.ts";

export interface ScoringOptions {
  /** What the user calls the reward (`./my-reward.mjs`), for messages; default: its name. */
  readonly spec?: string;
  /** The reward's options as configured; part of the memo key. */
  readonly options?: unknown;
  /** Shared memo, so that several runs of one process remember each other's scores. */
  readonly memo?: ScoreMemo;
  /** Milliseconds per call when the reward names none. */
  readonly timeoutMs?: number;
  /** Whether `null` scores may pass, as inside a mixture. */
  readonly nulls?: boolean;
}

/** Generous, because a first call may load a large model on a CPU. */
const defaultTimeoutMs = 300_000;

/**
 * Wraps a reward as a reward that remembers scores, splits batches by `maxBatch`, scores equal images once, and checks
 * every answer for length and finiteness. Chunks that were scored stay remembered when a later one fails.
 *
 * @throws (from `score`) REWARD_FAILED when the reward throws, takes too long or answers in the wrong form;
 *   REWARD_VALUE for a score that is not finite
 */
export function createScoring(reward: Reward, options: ScoringOptions = {}): Reward {
  const memo = options.memo ?? new ScoreMemo();
  const identity = canonicalJson([reward.name, reward.version, options.options ?? {}]);
  const timeoutMs = reward.timeoutMs ?? options.timeoutMs ?? defaultTimeoutMs;
  const nulls = options.nulls ?? false;
  const spec = options.spec ?? reward.name;
  const label = spec === reward.name ? spec : `${reward.name} (${spec})`;
  const remedy = `Try it alone with: tts-var reward check ${spec}`;
  let disposed: Promise<void> | undefined;

  async function scoreChunk(chunk: readonly RewardItem[], context: RewardContext): Promise<ScoredItem[]> {
    const ids = chunk.map((item) => item.id);
    const fail = (problem: string, cause?: unknown) =>
      new TtsVarError("REWARD_FAILED", `reward ${label} ${problem}`, {
        cause,
        details: { reward: reward.name, candidates: ids },
      });
    const late = () =>
      fail(
        `did not answer within ${timeoutMs / 1000} s (candidates ${listIds(ids)}); make it faster, give it a smaller maxBatch or a larger timeoutMs`,
      );
    // Spelled out, because a context may be a class with methods.
    const limited = (signal: AbortSignal): RewardContext => ({
      signal,
      stage: context.stage,
      seed: context.seed,
      log: (level, message) => context.log(level, message),
    });
    try {
      const answer = await withDeadline(async (signal) => reward.score(chunk, limited(signal)), {
        signal: context.signal,
        timeoutMs,
        late,
      });
      return checkScores({ label, remedy, name: reward.name }, chunk, answer, nulls);
    } catch (error) {
      if (error instanceof TtsVarError || context.signal.aborted) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw fail(`failed on candidates ${listIds(ids)}: ${message}. ${remedy}`, error);
    }
  }

  async function score(batch: readonly RewardItem[], context: RewardContext): Promise<RewardScores> {
    const keys = batch.map((item) => memo.key(identity, item));
    const missing = new Map<string, RewardItem>();
    batch.forEach((item, index) => {
      const key = keys[index]!;
      if (!memo.get(key) && !missing.has(key)) missing.set(key, item);
    });
    const work = [...missing];
    const size = reward.maxBatch ?? Math.max(work.length, 1);
    for (let from = 0; from < work.length; from += size) {
      context.signal.throwIfAborted();
      const chunk = work.slice(from, from + size);
      const scored = await scoreChunk(
        chunk.map(([, item]) => item),
        context,
      );
      chunk.forEach(([key], index) => {
        memo.set(key, scored[index]!);
      });
    }
    const scored = keys.map((key) => memo.get(key)!);
    const explained = scored.some((item) => item.detail !== undefined);
    return {
      scores: scored.map((item) => item.score),
      ...(explained ? { details: scored.map((item) => item.detail) } : {}),
    };
  }

  return {
    ...traitsOf(reward),
    score,
    ...(reward.among ? { among: (details) => reward.among!(details) } : {}),
    [Symbol.asyncDispose]: () => {
      disposed ??= Promise.resolve(reward[Symbol.asyncDispose]());
      return disposed;
    },
  };
}

const traitNames = [
  "name",
  "version",
  "direction",
  "range",
  "suggestedLambda",
  "flops",
  "license",
  "source",
  "atoms",
  "modelId",
  "maxBatch",
  "timeoutMs",
] as const;

/** The describing part of a reward; read one by one because plug-ins may use getters and classes. */
function traitsOf(reward: Reward): Omit<Reward, "score" | "among" | typeof Symbol.asyncDispose> {
  const traits = traitNames.map((name) => [name, reward[name]] as const);
  return Object.fromEntries(traits.filter(([, value]) => value !== undefined)) as unknown as Reward;
}

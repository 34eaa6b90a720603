import { TtsVarError } from "../core/errors.ts";
import type { Reward, RewardContext, RewardItem, RewardScores } from "../core/reward.ts";
import { checkScores, listIds } from "./check-scores.ts";
import { canonicalJson, type ScoredItem, ScoreMemo } from "./score-memo.ts";

export interface ScoringOptions {
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
  let disposed: Promise<void> | undefined;

  async function scoreChunk(chunk: readonly RewardItem[], context: RewardContext): Promise<ScoredItem[]> {
    const answer = await withDeadline(reward, chunk, context, timeoutMs);
    return checkScores(reward.name, chunk, answer, nulls);
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
    [Symbol.asyncDispose]: () => {
      disposed ??= Promise.resolve(reward[Symbol.asyncDispose]());
      return disposed;
    },
  };
}

/** The describing part of a reward; read one by one because plug-ins may use getters and classes. */
function traitsOf(reward: Reward): Omit<Reward, "score" | typeof Symbol.asyncDispose> {
  const {
    name,
    version,
    direction,
    range,
    suggestedLambda,
    flops,
    license,
    source,
    modelId,
    maxBatch,
    timeoutMs,
  } = reward;
  return {
    name,
    version,
    direction,
    range,
    suggestedLambda,
    flops,
    license,
    source,
    ...(modelId === undefined ? {} : { modelId }),
    ...(maxBatch === undefined ? {} : { maxBatch }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

async function withDeadline(
  reward: Reward,
  chunk: readonly RewardItem[],
  context: RewardContext,
  timeoutMs: number,
): Promise<RewardScores> {
  const ids = chunk.map((item) => item.id);
  const deadline = new AbortController();
  const signal = AbortSignal.any([context.signal, deadline.signal]);
  let timer: NodeJS.Timeout | undefined;
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    timer = setTimeout(() => {
      const message = `reward ${reward.name} did not answer within ${timeoutMs / 1000} s (candidates ${listIds(ids)}); make it faster, give it a smaller maxBatch or a larger timeoutMs`;
      deadline.abort(
        new TtsVarError("REWARD_FAILED", message, { details: { reward: reward.name, candidates: ids } }),
      );
    }, timeoutMs);
  });
  const limited: RewardContext = {
    signal,
    stage: context.stage,
    seed: context.seed,
    log: (level, message) => context.log(level, message),
  };
  try {
    return await Promise.race([Promise.resolve(reward.score(chunk, limited)), stopped]);
  } catch (error) {
    if (error instanceof TtsVarError || context.signal.aborted) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new TtsVarError(
      "REWARD_FAILED",
      `reward ${reward.name} failed on candidates ${listIds(ids)}: ${message}. Try it alone with: tts-var reward check`,
      { cause: error, details: { reward: reward.name, candidates: ids } },
    );
  } finally {
    clearTimeout(timer);
  }
}

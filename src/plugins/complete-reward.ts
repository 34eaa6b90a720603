import { TtsVarError } from "../core/errors.ts";
import type { RewardDraft } from "../core/plugin.ts";
import type { Reward, RewardScores } from "../core/reward.ts";

/** TTS-VAR's own lambda, for rewards that name none. */
const defaultLambda = 10;

/** Fills in what a plug-in left out. `version` also carries the file's hash, so that an edited file is a new reward. */
export function completeReward(
  draft: RewardDraft,
  defaults: { readonly name: string; readonly version: string; readonly source: string },
): Reward {
  const name = draft.name ?? defaults.name;
  return {
    name,
    version: draft.version === undefined ? defaults.version : `${draft.version}+${defaults.version}`,
    direction: draft.direction ?? "higher",
    range: draft.range ?? null,
    suggestedLambda: draft.suggestedLambda ?? defaultLambda,
    flops: draft.flops ?? 0,
    license: draft.license ?? "not stated",
    source: draft.source ?? defaults.source,
    ...(draft.modelId === undefined ? {} : { modelId: draft.modelId }),
    ...(draft.maxBatch === undefined ? {} : { maxBatch: draft.maxBatch }),
    ...(draft.timeoutMs === undefined ? {} : { timeoutMs: draft.timeoutMs }),
    score: async (batch, context) => asScores(await draft.score(batch, context), name),
    [Symbol.asyncDispose]: async () => {
      await draft[Symbol.asyncDispose]?.();
    },
  };
}

/** Accepts `{ scores, details? }` or a bare list. */
function asScores(result: unknown, name: string): RewardScores {
  if (isList(result)) return { scores: result };
  if (typeof result === "object" && result !== null) {
    if ("scores" in result && isList(result.scores)) return result as RewardScores;
    if ("score" in result) {
      throw new TtsVarError(
        "REWARD_FAILED",
        `reward ${name} returned an object with score(); a factory needs defineReward: export default defineReward(...)`,
      );
    }
  }
  throw new TtsVarError(
    "REWARD_FAILED",
    `reward ${name} returned ${describe(result)} instead of a list with one number per item`,
  );
}

function isList(value: unknown): value is ArrayLike<number | null> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object"
    ? `an object with ${Object.keys(value).join(", ") || "no properties"}`
    : `${typeof value} ${String(value)}`;
}

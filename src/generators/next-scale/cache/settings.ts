import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import type { CacheClasses } from "./classes.ts";

const share = "must be above 0 and at most 1";

/** What a configuration may say of the cache of keys and values. */
export const cacheSchema = z.strictObject({
  cache: z.enum(["none", "scalekv", "hack"], { error: 'must be "none", "scalekv" or "hack"' }).optional(),
  cacheShare: z.number(share).gt(0, share).max(1, share).optional(),
  cacheLayers: z.enum(["identified", "uniform"], { error: 'must be "identified" or "uniform"' }).optional(),
  cacheTokens: z
    .enum(["window", "random", "recent"], { error: 'must be "window", "random" or "recent"' })
    .optional(),
  cacheHeads: z.enum(["identified", "swapped"], { error: 'must be "identified" or "swapped"' }).optional(),
});
export type CacheWish = {
  readonly [Key in keyof z.output<typeof cacheSchema>]: z.output<typeof cacheSchema>[Key] | undefined;
};

/**
 * How a cache is cut after every stage, in full. ScaleKV (Li et al. 2025): layers that look back much, the *drafters*, keep
 * more than the others; what is kept is what a window of the newest queries looks at. HACK (Qin et al. 2025): all layers
 * alike; *contextual* heads keep what is looked at most, *structural* ones the first two scales and the newest.
 */
export interface CachePolicy {
  readonly kind: "scalekv" | "hack";
  /** Tokens that a layer keeps at most. */
  readonly budgets: readonly number[];
  readonly tokens: "window" | "random" | "recent";
  /** By layer and head: which heads are structural. */
  readonly structural: readonly (readonly boolean[])[];
}

/** Cuts nothing. */
export function keepAll(depth: number): CachePolicy {
  const budgets = new Array<number>(depth).fill(Number.POSITIVE_INFINITY);
  return { kind: "scalekv", budgets, tokens: "recent", structural: [] };
}

/** What the settings of a cut cache add to a generator's; nothing for a whole one. */
export type CacheSettings = Readonly<Record<string, unknown>>;

export interface ResolvedCache {
  /** Null keeps everything. */
  readonly policy: CachePolicy | null;
  readonly settings: CacheSettings;
}

/** Share of the whole cache that is kept unless configured. */
const DEFAULT_SHARE = 0.5;
/** Least that a layer keeps, which the window fits into. */
const LEAST = 4;

/**
 * The policy that settings ask for.
 *
 * @param prefix  tokens of all scales but the last: what a whole cache holds in the end
 * @param classes of the model's layers and heads; null when nobody has identified them
 * @throws TtsVarError CONFIG_INVALID for settings of another policy, or when classes are needed that there are not
 */
export function resolveCache(
  wish: CacheWish,
  { prefix, depth, heads }: { readonly prefix: number; readonly depth: number; readonly heads: number },
  classes: CacheClasses | null,
): ResolvedCache {
  const { cache = "none", cacheShare = DEFAULT_SHARE, cacheLayers, cacheTokens, cacheHeads } = wish;
  const foreign = {
    cacheShare: cache === "none" && wish.cacheShare !== undefined,
    cacheLayers: cache !== "scalekv" && cacheLayers !== undefined,
    cacheTokens: cache !== "scalekv" && cacheTokens !== undefined,
    cacheHeads: cache !== "hack" && cacheHeads !== undefined,
  };
  for (const [name, wrong] of Object.entries(foreign)) {
    if (!wrong) continue;
    const needed = name === "cacheShare" ? "scalekv or hack" : name === "cacheHeads" ? "hack" : "scalekv";
    throw new TtsVarError("CONFIG_INVALID", `model.options.${name} needs model.options.cache=${needed}`);
  }
  if (cache === "none") return { policy: null, settings: {} };
  const each = Math.max(LEAST, Math.round(cacheShare * prefix));
  const alike = new Array<number>(depth).fill(each);
  const nowhere = Array.from({ length: depth }, () => new Array<boolean>(heads).fill(false));
  if (cache === "hack") {
    const swapped = cacheHeads === "swapped";
    const structural = needed(classes).structural.map((row) => row.map((is) => is !== swapped));
    return {
      policy: { kind: "hack", budgets: alike, tokens: "window", structural },
      settings: { cache, cacheShare, cacheHeads: swapped ? "swapped" : "identified" },
    };
  }
  const [layers, tokens] = [cacheLayers ?? "identified", cacheTokens ?? "window"];
  const budgets = layers === "uniform" ? alike : split(each, prefix, depth, needed(classes).drafters);
  return {
    policy: { kind: "scalekv", budgets, tokens, structural: nowhere },
    settings: { cache, cacheShare, cacheLayers: layers, cacheTokens: tokens, cacheBudgets: budgets },
  };
}

/** Drafters get twice the mean, or everything; the others share the rest, so that all together keep the same. */
function split(each: number, prefix: number, depth: number, drafters: readonly number[]): number[] {
  const large = Math.min(prefix, 2 * each);
  const rest = (depth * each - drafters.length * large) / (depth - drafters.length);
  const small = Math.max(LEAST, Math.floor(rest));
  return Array.from({ length: depth }, (_, layer) => (drafters.includes(layer) ? large : small));
}

function needed(classes: CacheClasses | null): CacheClasses {
  if (classes) return classes;
  throw new TtsVarError(
    "CONFIG_INVALID",
    "model.options.cache: nobody has identified this model's layers and heads; run `tts-var calibrate-cache`, " +
      "or set model.options.cacheLayers=uniform (scalekv)",
  );
}

import * as z from "zod";
import { parseSettings } from "../../parse-settings.ts";
import type { CacheClasses } from "../cache/classes.ts";
import { cacheSchema, type ResolvedCache, resolveCache } from "../cache/settings.ts";
import { lookAheadShape } from "../look-ahead.ts";
import { resolveSettings, type SamplingSettings, samplingSchema } from "../settings.ts";
import type { InfinityManifest, Schedule } from "./manifest.ts";

const schema = z.strictObject({ ...samplingSchema.shape, ...cacheSchema.shape, ...lookAheadShape });

/** What settings depend on. */
export interface Configurable {
  readonly manifest: InfinityManifest;
  readonly schedule: Schedule;
  /** How its layers and heads look back, for policies of the cache; null when nobody has measured it. */
  readonly classes: CacheClasses | null;
}

export interface InfinitySettings {
  readonly sampling: SamplingSettings;
  readonly cache: ResolvedCache;
}

/** Settings of a model folder in full: how it draws, and what it keeps. @throws TtsVarError CONFIG_INVALID */
export function resolveInfinity(
  { manifest, schedule, classes }: Configurable,
  given: unknown,
): InfinitySettings {
  const { cache, cacheShare, cacheLayers, cacheTokens, cacheHeads, lookAhead, ...sampling } = parseSettings(
    schema,
    given,
  );
  const { depth, heads } = manifest.architecture;
  const prefix = schedule.scales.slice(0, -1).reduce((sum, [h, w]) => sum + h * w, 0);
  return {
    sampling: {
      ...resolveSettings(manifest.sampling, sampling, schedule.scales.length),
      ...(lookAhead ? { lookAhead } : {}),
    },
    cache: resolveCache(
      { cache, cacheShare, cacheLayers, cacheTokens, cacheHeads },
      { prefix, depth, heads },
      classes,
    ),
  };
}

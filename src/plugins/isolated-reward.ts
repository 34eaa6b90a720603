import type { PluginHost } from "../core/plugin.ts";
import type { Reward, RewardScores, RewardTraits } from "../core/reward.ts";
import { listIds } from "../scoring/check-scores.ts";
import type { LoadedPlugin } from "./load-module.ts";
import { callTimeoutMs, PluginThread } from "./plugin-thread.ts";
import type { RewardCall } from "./served-plugin.ts";

/**
 * Loads a user's reward into a thread of its own.
 *
 * @throws PLUGIN_INVALID, CONFIG_INVALID
 */
export async function isolatedReward(
  spec: string,
  options: unknown,
  { baseDir, allowDownload, log }: PluginHost,
): Promise<LoadedPlugin<Reward>> {
  const thread = new PluginThread({ kind: "reward", spec, options, baseDir, allowDownload }, log);
  const { traits, provenance } = await thread.ready();
  const stated = traits as RewardTraits & { readonly maxBatch?: number; readonly timeoutMs?: number };
  const value: Reward = {
    ...stated,
    timeoutMs: stated.timeoutMs ?? callTimeoutMs,
    async score(batch, { signal, stage, seed }) {
      const call: RewardCall = { batch, stage, seed };
      const about = `candidates ${listIds(batch.map((item) => item.id))}`;
      return (await thread.call(call, about, signal)) as RewardScores;
    },
    [Symbol.asyncDispose]: () => thread.dispose(),
  };
  return { value, provenance };
}

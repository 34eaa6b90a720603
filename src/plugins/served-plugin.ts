import { TtsVarError } from "../core/errors.ts";
import type { RgbImage } from "../core/image.ts";
import type { RewardHost } from "../core/plugin.ts";
import type { RewardContext, RewardItem } from "../core/reward.ts";
import { featuresFromModule } from "./features-from-module.ts";
import type { PluginProvenance } from "./load-module.ts";
import { rewardFromModule } from "./reward-from-module.ts";
import type { ThreadKind, ThreadSetup } from "./thread-protocol.ts";

/** A plug-in as its thread serves it: what is told of it at the start, and how it answers a call. */
export interface Served extends AsyncDisposable {
  readonly traits: object;
  readonly provenance: PluginProvenance;
  answer(input: unknown): Promise<unknown>;
}

/** Input of a reward's call: `score`'s arguments without what cannot be sent. */
export interface RewardCall extends Pick<RewardContext, "stage" | "seed"> {
  readonly batch: readonly RewardItem[];
}

/** Loads the plug-in of each kind in the calling thread. @throws PLUGIN_INVALID, CONFIG_INVALID */
export const servePlugin: Readonly<
  Record<ThreadKind, (setup: ThreadSetup, log: RewardHost["log"]) => Promise<Served>>
> = {
  async reward(setup, log) {
    const { spec, options } = setup;
    const host: RewardHost = {
      ...hostOf(setup, log),
      loadReward: () => Promise.reject(partsRefused(spec)),
      describeReward: () => Promise.reject(partsRefused(spec)),
    };
    const { value, provenance } = await rewardFromModule(spec, options, host);
    const { score: _score, [Symbol.asyncDispose]: _dispose, ...traits } = value;
    // The thread ends when the caller gives up, so this signal never fires.
    const { signal } = new AbortController();
    return {
      traits,
      provenance,
      async answer(input) {
        const { batch, stage, seed } = input as RewardCall;
        const { scores, details } = await value.score(batch, { signal, stage, seed, log });
        return { scores: Array.from(scores), ...(details && { details }) };
      },
      [Symbol.asyncDispose]: () => value[Symbol.asyncDispose](),
    };
  },
  async features(setup, log) {
    const { value, provenance } = await featuresFromModule(setup.spec, setup.options, hostOf(setup, log));
    const { name, version, flops, timeoutMs } = value;
    return {
      traits: { name, version, flops, timeoutMs },
      provenance,
      answer: (input) => value.extract(input as readonly RgbImage[]),
      [Symbol.asyncDispose]: () => value[Symbol.asyncDispose](),
    };
  },
};

function hostOf({ baseDir, allowDownload }: ThreadSetup, log: RewardHost["log"]) {
  return { baseDir, allowDownload, log };
}

function partsRefused(spec: string): TtsVarError {
  return new TtsVarError(
    "PLUGIN_INVALID",
    `reward plug-in ${spec}: a plug-in cannot load other rewards; mix it with them by the reward "weighted"`,
  );
}

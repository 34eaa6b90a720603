import type { PluginHost, RewardDefinition, RewardHost } from "../core/plugin.ts";
import type { Registry } from "../core/registry.ts";
import type { Reward, RewardContext, RewardItem, RewardScores, RewardTraits } from "../core/reward.ts";
import { listIds } from "../scoring/check-scores.ts";
import { createScoring } from "../scoring/create-scoring.ts";
import { parseOptions } from "./check-shape.ts";
import type { KeptPlugins } from "./kept-plugins.ts";
import { type LoadedPlugin, specKind } from "./load-module.ts";
import { callTimeoutMs, PluginThread } from "./plugin-thread.ts";

/** Input of a call to a reward's thread: `score`'s arguments without what cannot be sent. */
export interface RewardCall extends Pick<RewardContext, "stage" | "seed"> {
  readonly batch: readonly RewardItem[];
}

/** What loading a reward needs: the named rewards, and the surroundings handed to factories. */
export interface RewardLoadHost extends PluginHost {
  readonly registry: Registry<RewardDefinition>;
  /** Where plug-ins wait that were opened to be described. */
  readonly kept?: KeptPlugins | undefined;
}

/**
 * Loads a reward by its spec: a registry name, `./file.mjs|js|cjs|ts`, `npm:package`, or `http://host:port`.
 * The result is not yet checked while scoring; wrap it with `createScoring` of src/scoring.
 *
 * @param options the reward's own options; undefined for none
 * @throws PLUGIN_UNKNOWN, PLUGIN_INVALID, CONFIG_INVALID, or what the reward's factory throws
 */
export async function loadReward(
  spec: string,
  options: unknown,
  host: RewardLoadHost,
): Promise<LoadedPlugin<Reward>> {
  const rewardHost = rewardHostOf(host);
  switch (specKind(spec)) {
    case "name": {
      const value = await fromDefinition(await host.registry.load(spec), options, rewardHost);
      return { value, provenance: { kind: "builtin", spec } };
    }
    case "http": {
      const value = await fromDefinition(
        await host.registry.load("http"),
        withUrl(options, spec),
        rewardHost,
      );
      return { value, provenance: { kind: "http", spec } };
    }
    default: {
      const open = () => isolatedReward(spec, options, rewardHost);
      return host.kept ? host.kept.take(requestOf(spec, options, host), open) : open();
    }
  }
}

/**
 * A reward's traits without loading its weights where the reward can say so; for plans. A plug-in has to be opened for
 * that, and waits in `host.kept` for the run.
 * @throws as `loadReward`
 */
export async function describeReward(
  spec: string,
  options: unknown,
  host: RewardLoadHost,
): Promise<RewardTraits> {
  const kind = specKind(spec);
  if (kind === "name" || kind === "http") {
    const definition = await host.registry.load(kind === "http" ? "http" : spec);
    if (definition.traits) {
      const given = kind === "http" ? withUrl(options, spec) : options;
      const parsed = await parseOptions(definition.options, given, `reward ${definition.name}`);
      return definition.traits(parsed, rewardHostOf(host));
    }
  }
  const open = () => loadReward(spec, options, { ...host, kept: undefined });
  if (host.kept) return host.kept.describe(requestOf(spec, options, host), open);
  const { value } = await open();
  await value[Symbol.asyncDispose]();
  return value;
}

function requestOf(spec: string, options: unknown, { baseDir }: PluginHost): readonly unknown[] {
  return ["reward", spec, options, baseDir];
}

function rewardHostOf(host: RewardLoadHost): RewardHost {
  return {
    baseDir: host.baseDir,
    allowDownload: host.allowDownload,
    log: (level, message) => host.log(level, message),
    // Parts of mixtures are checked as rewards are, but may answer null.
    loadReward: async (spec, options) =>
      createScoring((await loadReward(spec, options, host)).value, { spec, options, nulls: true }),
    describeReward: (spec, options) => describeReward(spec, options, host),
  };
}

function withUrl(options: unknown, url: string): object {
  return { ...(typeof options === "object" ? options : {}), url };
}

async function fromDefinition(
  definition: RewardDefinition,
  options: unknown,
  host: RewardHost,
): Promise<Reward> {
  return definition.create(
    await parseOptions(definition.options, options, `reward ${definition.name}`),
    host,
  );
}

/**
 * Loads a user's reward into a thread of its own.
 *
 * @throws PLUGIN_INVALID, CONFIG_INVALID
 */
async function isolatedReward(
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

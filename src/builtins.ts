import { rewards } from "../rewards/index.ts";
import { strategies } from "../search/index.ts";
import type { FeatureDefinition, RewardDefinition } from "./core/plugin.ts";
import { type Listing, Registry } from "./core/registry.ts";
import type { Strategy } from "./core/strategy.ts";
import { features } from "./features/index.ts";
import { samplers } from "./samplers/index.ts";
import type { SamplerDefinition } from "./samplers/sampler-definition.ts";

interface Entry<T> extends Listing {
  load(): Promise<T>;
}

function registryOf<T>(kind: string, entries: readonly Entry<T>[]): Registry<T> {
  const registry = new Registry<T>(kind);
  for (const entry of entries) registry.add(entry);
  return registry;
}

/** All built-in plug-ins by kind and name. Each is imported when its name is first asked for. */
export const strategyRegistry: Registry<Strategy> = registryOf<Strategy>("strategy", strategies);
export const rewardRegistry: Registry<RewardDefinition> = registryOf<RewardDefinition>("reward", rewards);
export const samplerRegistry: Registry<SamplerDefinition> = registryOf<SamplerDefinition>("model", samplers);
export const featureRegistry: Registry<FeatureDefinition> = registryOf<FeatureDefinition>(
  "features",
  features,
);

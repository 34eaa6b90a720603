import { type RewardListing, rewards } from "../../rewards/index.ts";
import { strategies } from "../../search/index.ts";
import type { Benchmark } from "../core/benchmark.ts";
import type { GeneratorDefinition } from "../core/generator.ts";
import type { FeatureDefinition, RewardDefinition } from "../core/plugin.ts";
import { type Listing, Registry } from "../core/registry.ts";
import type { Strategy } from "../core/strategy.ts";
import { features } from "../features/index.ts";
import { generators } from "../generators/index.ts";
import { type BenchmarkListing, benchmarks } from "./benchmarks.ts";

function registryOf<T, Row extends Listing = Listing>(
  kind: string,
  entries: readonly (Row & { load(): Promise<T> })[],
): Registry<T, Row> {
  const registry = new Registry<T, Row>(kind);
  for (const entry of entries) registry.add(entry);
  return registry;
}

/** All built-in plug-ins by kind and name. Each is imported when its name is first asked for. */
export const strategyRegistry: Registry<Strategy> = registryOf<Strategy>("strategy", strategies);
export const rewardRegistry: Registry<RewardDefinition, RewardListing> = registryOf<
  RewardDefinition,
  RewardListing
>("reward", rewards);
export const generatorRegistry: Registry<GeneratorDefinition> = registryOf<GeneratorDefinition>(
  "model",
  generators,
);
export const featureRegistry: Registry<FeatureDefinition> = registryOf<FeatureDefinition>(
  "features",
  features,
);
export const benchmarkRegistry: Registry<Benchmark, BenchmarkListing> = registryOf<
  Benchmark,
  BenchmarkListing
>("benchmark", benchmarks);

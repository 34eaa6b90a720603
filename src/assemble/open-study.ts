import { expandNames } from "../config/load.ts";
import { recipeSchema, type SearchRecipe } from "../config/schema.ts";
import type { Disposal } from "../core/disposal.ts";
import { TtsVarError } from "../core/errors.ts";
import { type Generator, viewAt } from "../core/generator.ts";
import type { PluginHost } from "../core/plugin.ts";
import { officialCrop } from "../eval/geneval/crop.ts";
import { loadPrompts } from "../eval/geneval/prompt-source.ts";
import { officialOptions } from "../eval/geneval/rules.ts";
import { sharesModel } from "../eval/label.ts";
import { loadReward } from "../plugins/load-reward.ts";
import { loadStrategy } from "../plugins/load-strategy.ts";
import { createScoring } from "../scoring/create-scoring.ts";
import type { StudyConfig } from "../study/study-config.ts";
import type { StudyArm, StudyParts, StudyPlan } from "../study/study-plan.ts";
import { rewardRegistry, strategyRegistry } from "./builtins.ts";
import { openCopies } from "./open-copies.ts";
import { openFeatures } from "./open-features.ts";
import { openJudge } from "./open-judge.ts";
import { planConfig } from "./open-search.ts";
import { expectNoRewriting } from "./rewriting.ts";

export interface StudyOpening {
  /** Inference threads of each generator, and generators that draw side by side; undefined: as fits the machine. */
  readonly threads?: number | undefined;
  readonly generators?: number | undefined;
  hostOf(allowDownload: boolean): PluginHost;
  /** Where in the study's file a setting is, as \`file:line\`. */
  placeOf(path: string): string;
}

export interface OpenStudy {
  readonly parts: StudyParts;
  readonly plan: StudyPlan;
  readonly generators: number;
}

/**
 * Opens everything that a study needs, its arms' own proposals and features included.
 *
 * @param owned disposes of everything
 * @throws TtsVarError CONFIG_INVALID, PLUGIN_UNKNOWN, MODEL_NOT_FOUND, ...
 */
export async function openStudy(
  config: StudyConfig,
  { threads, generators: copies, hostOf, placeOf }: StudyOpening,
  owned: Disposal,
): Promise<OpenStudy> {
  const settings = {
    ...config.search,
    strategy: "single",
    budget: 1,
    ...(threads === undefined ? {} : { threads }),
  };
  expandNames(settings as never);
  const search = parseSearch(settings, "search", placeOf);
  expectNoRewriting(search);
  const host = hostOf(search.allowDownload);
  // Cheap to find, and of no use if there are too few.
  const prompts = await loadPrompts(
    String(config.prompts.count),
    config.prompts.seed,
    config.prompts.disjointFrom,
  );
  const planned = await planConfig(search, host);
  const { generators, ...open } = await openCopies(planned, copies, owned);
  const rewards = { [search.reward.name]: open.reward };
  for (const [key, { name, options }] of Object.entries(config.rewards)) {
    const { value } = await loadReward(name, options, { ...host, registry: rewardRegistry });
    rewards[key] = owned.use(createScoring(value, { options }));
  }
  const arms: StudyArm[] = [];
  for (const arm of config.arms)
    arms.push(
      await openArm(arm, config, { settings, search, generator: open.generator, host, placeOf }, owned),
    );
  const judge = owned.use(
    await openJudge({
      detector: config.judge,
      colorModel: null,
      rules: officialOptions,
      crop: officialCrop,
    }),
  );
  for (const [name, { version }] of Object.entries(rewards)) {
    if (!sharesModel(version, judge.id)) continue;
    host.log(
      "warn",
      `the reward ${name} shares the judge's model (${version}): answers that it chooses are an oracle's, not a test`,
    );
  }
  const features = owned.use(await openFeatures(search.features, host));
  const { shape, looks } = open.generator.traits;
  const previews = config.tree.previews.flatMap((preview) =>
    looks.map((look) =>
      preview === "draft" ? viewAt(shape, 1, look, "draft") : viewAt(shape, preview, look),
    ),
  );
  return {
    parts: {
      generator: open.generator,
      rewards,
      primaryReward: search.reward.name,
      features,
      calibration: planned.calibration,
      judge,
    },
    plan: {
      seed: config.seed,
      prompts,
      replicates: config.replicates,
      tree: { ...config.tree, previews },
      finalRewards: config.finalRewards,
      reliabilities: config.reliabilities,
      arms,
    },
    generators,
  };
}

interface ArmSurroundings {
  readonly settings: object;
  readonly search: SearchRecipe;
  readonly generator: Generator;
  readonly host: PluginHost;
  placeOf(path: string): string;
}

async function openArm(
  arm: StudyConfig["arms"][number],
  { arms, budgets }: StudyConfig,
  { settings, search, generator, host, placeOf }: ArmSurroundings,
  owned: Disposal,
): Promise<StudyArm> {
  const where = { registry: strategyRegistry, baseDir: host.baseDir };
  const { value } = await loadStrategy(arm.strategy.name, arm.strategy.options, where);
  const own = parseSearch(
    { ...settings, features: { ...search.features, ...arm.features } },
    `arms.${arms.indexOf(arm)}`,
    placeOf,
  );
  return {
    name: arm.name,
    search: value.search,
    options: value.options,
    ...(value.version === null ? {} : { version: value.version }),
    budgets: arm.budgets ?? budgets,
    live: arm.live,
    ...(arm.sampling
      ? { generator: await otherSettings(generator, { ...search.model.options, ...arm.sampling }) }
      : {}),
    ...(arm.features ? { features: owned.use(await openFeatures(own.features, host)) } : {}),
  };
}

async function otherSettings(generator: Generator, settings: object): Promise<Generator> {
  if (generator.withSettings) return generator.withSettings(settings);
  throw new TtsVarError(
    "CONFIG_INVALID",
    `arms.sampling: ${generator.traits.name} cannot change its settings while it is open; make it a study of its own`,
  );
}

function parseSearch(value: unknown, where: string, placeOf: (path: string) => string): SearchRecipe {
  const parsed = recipeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => {
    const name = [where, ...path].join(".");
    return `${placeOf(name)}: ${name}: ${message}`;
  });
  throw new TtsVarError("CONFIG_INVALID", problems.join("\n"), { details: { problems } });
}

import { z } from "zod";
import {
  features,
  type ObserveOptions,
  type Population,
  type SearchOutcome,
  type SearchProgram,
  score,
  select,
  start,
  step,
  tokens,
} from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { tokenVectors } from "../src/core/tokens.ts";
import { answerBest } from "./parts/answer.ts";
import { clusterCentres } from "./parts/cluster.ts";
import { sizedToFit, widest } from "./parts/fit.ts";
import { pick } from "./parts/order.ts";
import { POTENTIALS, potential } from "./parts/potentials.ts";
import { RESAMPLINGS, resample } from "./parts/resample.ts";
import { placeSchema, previewSchema, previewView } from "./parts/schedule.ts";
import { paperShape, planTtsVar, type TtsVarPlan } from "./parts/tts-var-plan.ts";
import { effectiveSampleSize, lambdaForEss, logWeights, normalise, standardise } from "./parts/weights.ts";

const widthList = z.array(z.number().positive()).min(1);

export const ttsVarOptions = z.strictObject({
  multiplier: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe("the paper's N; null: the largest that the budget pays for"),
  widths: z
    .array(z.int().positive())
    .min(1)
    .nullable()
    .default(null)
    .describe("candidates kept after each scale, one value per scale; overrides multiplier and shape"),
  shape: widthList
    .default([...paperShape])
    .describe(
      "candidates kept after each scale in units of N; mapped to the model's scales by relative position",
    ),
  clusterBy: z
    .enum(["features", "tokens"])
    .default("features")
    .describe("what clusters are made of: preview features, or the tokens themselves, which cost nothing"),
  clusterScales: z
    .array(placeSchema)
    .nullable()
    .default(null)
    .describe("null: the paper's 2 and 5 of 13, by relative position"),
  resampleScales: z
    .array(placeSchema)
    .nullable()
    .default(null)
    .describe("null: the paper's 6 and 9 of 13, by relative position"),
  potential: z.enum(POTENTIALS).default("value"),
  topQ: z.int().positive().default(2).describe("rewards summed by the potential top-q"),
  history: z
    .enum(["resample", "all"])
    .default("resample")
    .describe("scales whose rewards potentials look back on; all scores every scale, and pays for it"),
  lambda: z.number().min(0).nullable().default(null).describe("null takes the reward's suggestion"),
  targetEss: z
    .number()
    .gt(0)
    .max(1)
    .nullable()
    .default(null)
    .describe("choose lambda so that the effective sample size is this share of the width"),
  standardise: z
    .boolean()
    .default(false)
    .describe("divide potentials by their spread within the prompt before lambda"),
  resampling: z.enum(RESAMPLINGS).default("multinomial"),
  preview: previewSchema.default("auto"),
});
export type TtsVarOptions = z.output<typeof ttsVarOptions>;

/**
 * TTS-VAR by the paper's definitions: a descending batch schedule, clustering on preview features at coarse scales
 * (keep the candidate nearest each centre), resampling by reward potentials at fine scales, and the best of the
 * finished ones by raw reward.
 */
export const ttsVar = defineStrategy({
  name: "tts-var",
  summary: "clustering at coarse scales, potential-weighted resampling at fine scales, shrinking batch",
  source: "Chen et al. 2025 (TTS-VAR), sections 3.2 and 3.3",
  options: ttsVarOptions,
  create: (options) =>
    sizedToFit(
      (space, multiplier) => run(space, options, planTtsVar(space, options, multiplier)),
      widest,
      options.multiplier ?? (options.widths ? 1 : null),
    ),
});

function* run(space: SearchSpace, options: TtsVarOptions, plan: TtsVarPlan): SearchProgram<SearchOutcome> {
  const view = previewView(space, options.preview);
  const resampled = [...plan.decisions].flatMap(([scale, { rule }]) => (rule === "resample" ? [scale] : []));
  const lastResampled = Math.max(-1, ...resampled);
  let population = yield* start(plan.start);
  let histories: number[][] = population.ids.map(() => []);
  for (const { index: scale } of space.stages) {
    population = (yield* step(population)).population;
    const decision = plan.decisions.get(scale);
    // Nothing is to be seen, and nothing to be paid, while all candidates are one.
    if (scale < identicalScales(space)) {
      if (!decision) continue;
      const picks = Array.from({ length: decision.width }, (_, row) => row % population.ids.length);
      population = yield* select(population, picks, { rule: "identical" });
      histories = pick(histories, picks);
      continue;
    }
    const looksBack = options.history === "all" && scale <= lastResampled;
    if (decision?.rule === "resample" || looksBack) {
      const scores = yield* score(population, space.reward, { view });
      histories = histories.map((history, row) => [...history, scores[row]!]);
    }
    if (!decision) continue;
    const choice =
      decision.rule === "cluster"
        ? yield* cluster(
            space,
            population,
            decision.width,
            options.clusterBy === "tokens" ? "tokens" : { view },
          )
        : weigh(space, options, population, histories, decision.width);
    population = yield* select(population, choice.picks, choice.why);
    histories = pick(histories, choice.picks);
  }
  return yield* answerBest(space, population);
}

/** Scales whose tokens are forced, so that candidates do not differ yet: all that are shared but the last. */
export function identicalScales({ cost }: SearchSpace): number {
  return Math.max(0, cost.shared - 1);
}

/** Diversity phase: one candidate per cluster of preview features, or of tokens. */
export function* cluster(
  space: SearchSpace,
  population: Population,
  width: number,
  look: "tokens" | ObserveOptions,
  stream = space.rng.stream("cluster", "tts-var", population.stage),
) {
  const vectors =
    look === "tokens"
      ? tokenVectors(space.tokens, yield* tokens(population))
      : yield* features(population, look);
  const { picks, labels } = clusterCentres(population.ids, vectors, width, stream);
  return { picks, why: { rule: "cluster", labels } };
}

/** Potential phase: candidates drawn in proportion to exp(lambda * potential). */
function weigh(
  space: SearchSpace,
  options: TtsVarOptions,
  { ids, stage }: Population,
  histories: readonly (readonly number[])[],
  width: number,
) {
  const plain = Float64Array.from(histories, (history) =>
    potential(options.potential, history, options.topQ),
  );
  const potentials = options.standardise ? standardise(plain) : plain;
  const lambda =
    options.targetEss === null
      ? (options.lambda ?? space.rewards[space.reward]!.suggestedLambda)
      : lambdaForEss(potentials, options.targetEss);
  const logs = logWeights(potentials, lambda);
  const weights = normalise(logs);
  const picks = resample(options.resampling, ids, logs, width, space.rng.stream("select", "tts-var", stage));
  return { picks, why: { rule: "resample", lambda, ess: effectiveSampleSize(weights), weights } };
}

import { z } from "zod";
import { type SearchOutcome, type SearchProgram, score, select, start, step } from "../src/core/program.ts";
import { createRng } from "../src/core/rng.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest } from "./parts/answer.ts";
import { sizedToFit, widest } from "./parts/fit.ts";
import { multinomial } from "./parts/resample.ts";
import { paperShape, planTtsVar, type TtsVarPlan } from "./parts/tts-var-plan.ts";
import { cluster, identicalScales } from "./tts-var.ts";

const paperPlan = { widths: null, shape: paperShape, clusterScales: null, resampleScales: null };

const options = z.strictObject({
  multiplier: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe("the paper's N; null: the largest that the budget pays for"),
  lambda: z.number().min(0).default(10),
});

/**
 * TTS-VAR as the published code effectively runs it. Reproduced quirks, each of which departs from the paper:
 *
 * - only the VALUE potential: the history that DIFF, SUM and MAX need is never written, and they are refused;
 * - weights are exp(lambda * score) in single precision without subtracting the maximum, and repaired when they break:
 *   any infinity gives all weight to the infinite ones equally, all zeros give equal weights;
 * - multinomial resampling, without regard for the best: it can die out;
 * - k-means seeded by a constant, whatever the run's seed;
 * - previews decoded at full size;
 * - the schedule shrinks only after the forward pass, and lambda is the same 10 for every reward.
 *
 * Use features `pca-reference` with it: each image is projected on its own first component, whose sign is arbitrary.
 * Not reproduced, because it changes the bill and never the outcome: decodes of every path at every scale (55 N instead
 * of 21 N), a second decode of the last scale, text encoding and cross-attention keys per path.
 */
export const ttsVarReleased = defineStrategy({
  name: "tts-var-released",
  summary: "TTS-VAR as its published code effectively runs, quirks included",
  source: "github.com/ali-vilab/TTS-VAR, utils_model.py",
  options,
  create: ({ multiplier, lambda }) =>
    sizedToFit((space, times) => run(space, lambda, planTtsVar(space, paperPlan, times)), widest, multiplier),
});

function* run(space: SearchSpace, lambda: number, plan: TtsVarPlan): SearchProgram<SearchOutcome> {
  const constant = createRng(0, "").stream("cluster", "released", 0);
  let population = yield* start(plan.start);
  for (const { index: scale } of space.stages) {
    population = (yield* step(population)).population;
    const decision = plan.decisions.get(scale);
    if (!decision) continue;
    if (scale < identicalScales(space)) {
      const picks = Array.from({ length: decision.width }, (_, row) => row % population.ids.length);
      population = yield* select(population, picks, { rule: "identical" });
      continue;
    }
    if (decision.rule === "cluster") {
      const { picks, why } = yield* cluster(space, population, decision.width, {}, constant);
      population = yield* select(population, picks, why);
    } else {
      const weights = releasedWeights(yield* score(population, space.reward), lambda);
      const picks = multinomial(
        weights,
        decision.width,
        space.rng.stream("select", "tts-var-released", scale),
      );
      population = yield* select(population, picks, { rule: "resample", lambda, weights });
    }
  }
  return yield* answerBest(space, population);
}

/** Weights of the published code, with its single precision and its repairs. */
export function releasedWeights(scores: ArrayLike<number>, lambda: number): number[] {
  const raw = Array.from(scores, (score) => Math.fround(Math.exp(Math.fround(lambda * Math.fround(score)))));
  const infinite = raw.map((weight) => (weight === Number.POSITIVE_INFINITY ? 1 : 0));
  const total = (list: readonly number[]): number => list.reduce((sum, weight) => sum + weight, 0);
  const usable = total(infinite) > 0 ? infinite : total(raw) > 0 ? raw : raw.map(() => 1);
  return usable.map((weight) => weight / total(usable));
}

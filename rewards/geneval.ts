import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition, RewardHost } from "../src/core/plugin.ts";
import type { Reward, RewardItem, RewardTraits } from "../src/core/reward.ts";
import { inOwnWords } from "../src/eval/geneval/closed-vocabulary.ts";
import { parseMetadata } from "../src/eval/geneval/metadata.ts";
import { type GenevalMetadata, officialOptions } from "../src/eval/geneval/rules.ts";
import { modelFolder } from "../src/inference/folder/find-folder.ts";
import { modelFlops } from "../src/inference/folder/model-cost.ts";
import { openModelFolder } from "../src/inference/folder/model-folder.ts";
import { denseScore } from "./parts/dense-score.ts";
import { facts } from "./parts/facts.ts";
import { openNamedDetector } from "./parts/named-detector.ts";
import { parsePrompt } from "./parts/prompt-parser.ts";

const options = z.strictObject({
  detector: z.string().min(1).default("detector-a").describe("embedded detector, or a detector folder"),
  threshold: z.number().min(0).max(1).default(officialOptions.threshold),
  countingThreshold: z.number().min(0).max(1).default(officialOptions.countingThreshold),
});

type GenevalOptions = z.output<typeof options>;

/**
 * Dense GenEval score of a detector: in [0, 1], 1 exactly when GenEval's rule passes, never negative, and higher for
 * every image that satisfies more. Conditions come from the item's metadata if it has `include`, else from the prompt.
 *
 * Selecting with the detector that also judges turns GenEval into its own oracle: judge with another one.
 *
 * Source: Ghosh et al. 2023 (rule); Flow-GRPO's reward server (dense form; its negative terms, double-counted positions
 * and exact counts are not kept).
 */
export const geneval: RewardDefinition<GenevalOptions> = {
  name: "geneval",
  summary: "dense detector-based score of the prompt's objects, counts, colours and positions",
  license: facts.geneval.license,
  options,
  async traits(settings, host) {
    const folder = await openModelFolder(await modelFolder(settings.detector, host), {
      verify: false,
      allowBare: true,
    });
    return traitsOf(folder.modelId, await modelFlops(folder), settings);
  },
  create: createGeneval,
};

async function createGeneval(settings: GenevalOptions, host: RewardHost): Promise<Reward> {
  const dir = await modelFolder(settings.detector, host);
  const { detector, names } = await openNamedDetector(dir, settings.detector);
  const rules = {
    ...officialOptions,
    threshold: settings.threshold,
    countingThreshold: settings.countingThreshold,
  };
  return {
    ...traitsOf(detector.modelId, detector.flops, settings),
    async score(batch) {
      // Before the detector runs, so that an unreadable prompt costs nothing.
      const wanted = batch.map(metadataOf);
      const found = await detector.detect(batch.map((item) => item.image));
      const verdicts = found.map((detections, index) => {
        const named = wanted[index]!.include?.some(({ color }) => color !== undefined);
        const colored = detections.flatMap(({ label: word, score, box, colors }) => {
          if (!colors && named) throw withoutColors(settings.detector);
          const label = names.get(word);
          return label ? [{ label, score, box, colors: colors ?? [] }] : [];
        });
        return denseScore(wanted[index]!, colored, rules);
      });
      return {
        scores: verdicts.map((verdict) => verdict.score),
        details: verdicts.map(({ score: _score, ...verdict }) => verdict),
      };
    },
    async [Symbol.asyncDispose]() {
      await detector.dispose();
    },
  };
}

function traitsOf(modelId: string, flops: number, settings: GenevalOptions): RewardTraits {
  return {
    name: "geneval",
    version: `2+${settings.threshold}+${settings.countingThreshold}+${modelId}`,
    ...facts.geneval,
    atoms: true,
    flops,
    modelId,
  };
}

function metadataOf(item: RewardItem): GenevalMetadata {
  const { metadata } = item;
  const { include } = metadata;
  if (!Array.isArray(include) || include.length === 0) return parsePrompt(item.prompt);
  const where = `metadata of "${item.prompt}"`;
  return inOwnWords(parseMetadata({ tag: "single_object", prompt: item.prompt, ...metadata }, where), where);
}

function withoutColors(detector: string): TtsVarError {
  return new TtsVarError(
    "MODEL_INVALID",
    `detector ${detector} names no colours (no output color_logits), which this prompt asks for; use detector-a or -b, or \`tts-var geneval judge\` with --color-model`,
  );
}

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition, RewardHost } from "../src/core/plugin.ts";
import { nearest } from "../src/core/registry.ts";
import type { Reward, RewardItem, RewardTraits } from "../src/core/reward.ts";
import { classNames } from "../src/eval/geneval/vocabulary.ts";
import { modelFolder } from "../src/inference/folder/find-folder.ts";
import { modelFlops } from "../src/inference/folder/model-cost.ts";
import { openModelFolder } from "../src/inference/folder/model-folder.ts";
import { readJson } from "../src/inference/folder/read-json.ts";
import { openGraph } from "../src/inference/runtime/graph.ts";
import { dot } from "../src/inference/vision/cosine.ts";
import { openDualTower } from "../src/inference/vision/dual-tower.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { toPixelValues } from "../src/inference/vision/preprocess.ts";
import { facts, isEmbedded } from "./parts/facts.ts";

const options = z.strictObject({
  model: z
    .string()
    .min(1)
    .default("dual-encoder")
    .describe(
      "embedded dual encoder or detector; a folder of an image classifier in transformers.js layout, of a CLIP, or a hub id",
    ),
  labels: z
    .array(z.string().min(1))
    .min(2)
    .optional()
    .describe("classes to tell apart, for dual encoders (default: GenEval's 80)"),
  scale: z.number().positive().default(50).describe("what cosines are multiplied with before the softmax"),
});
type ClassifierOptions = z.output<typeof options>;

/** Names by class, each with its synonyms. */
type Labels = readonly (readonly string[])[];

interface Opened extends AsyncDisposable {
  readonly labels: Labels;
  /** Probability of each item's class. */
  probabilities(batch: readonly RewardItem[], classes: readonly number[]): Promise<number[]>;
}

/**
 * Probability of the class that the prompt names: VAR's rejection sampling as a reward (Tian et al. 2024, section 5.1, as in
 * VQ-VAE-2 and VQGAN).
 *
 * An image classifier gives its softmax; a detector the highest softmax of any of its places; a dual encoder the softmax
 * over the cosines with all classes ("a photo of a ...").
 */
export const classifier: RewardDefinition<ClassifierOptions> = {
  name: "classifier",
  summary: "probability of the class that the prompt names",
  license: facts.classifier.license,
  options,
  async traits(settings, host) {
    const dir = await modelFolder(settings.model, host);
    const folder = await openModelFolder(dir, { verify: false, allowBare: true });
    return traitsOf(settings, folder.modelId, await modelFlops(folder));
  },
  create,
};

async function create(settings: ClassifierOptions, host: RewardHost): Promise<Reward> {
  const folder = await openModelFolder(await modelFolder(settings.model, host), { allowBare: true });
  const towers = existsSync(join(folder.dir, "onnx", "vision_model.onnx"));
  const opened = towers
    ? await openTowers(folder.dir, settings)
    : await openGraphClassifier(folder.dir, settings);
  return {
    ...traitsOf(settings, folder.modelId, await modelFlops(folder)),
    async score(batch) {
      const classes = batch.map(({ prompt }) => classOf(prompt, opened.labels));
      return { scores: await opened.probabilities(batch, classes) };
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function openTowers(dir: string, { labels: own, scale }: ClassifierOptions): Promise<Opened> {
  const labels: readonly string[] = own ?? classNames;
  const towers = await openDualTower(dir, await readImageTransform(dir));
  return {
    labels: labels.map((label) => [label]),
    async probabilities(batch, classes) {
      const texts: Float64Array[] = [];
      for (const label of labels) texts.push(await towers.texts.embed(`a photo of ${withArticle(label)}`));
      const images = await towers.images.embed(batch.map(({ image }) => image));
      return images.map(
        (image, row) => softmax(texts.map((text) => scale * dot(image, text)))[classes[row]!]!,
      );
    },
    [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
  };
}

async function openGraphClassifier(dir: string, { labels }: ClassifierOptions): Promise<Opened> {
  const path = join(dir, "config.json");
  const { id2label } = await readJson(path);
  const names = z.record(z.string(), z.string()).safeParse(id2label).data;
  if (!names) {
    throw new TtsVarError("MODEL_INVALID", `${path} has no id2label: it is no image classifier`);
  }
  if (labels) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `reward.options.labels is for dual encoders; ${dir} has classes of its own`,
    );
  }
  const own = Object.keys(names).map((_, index) => names[index]!.split(",").map((name) => name.trim()));
  const transform = await readImageTransform(dir);
  const graph = await openGraph(join(dir, "onnx", "model.onnx"));
  return {
    labels: own,
    async probabilities(batch, classes) {
      const scores: number[] = [];
      // One image at a time: a row's bits could otherwise depend on the number of rows (decision record 0003).
      for (const [row, { image }] of batch.entries()) {
        const { logits } = await graph.run({ pixel_values: toPixelValues([image], transform) }, ["logits"]);
        const width = logits!.dims.at(-1)!;
        let best = 0;
        for (let at = 0; at < logits!.data.length; at += width) {
          best = Math.max(best, softmax(logits!.data.subarray(at, at + width))[classes[row]!]!);
        }
        scores.push(best);
      }
      return scores;
    },
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}

function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const masses = values.map((value) => Math.exp(value - most));
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  return masses.map((mass) => mass / total);
}

function withArticle(label: string): string {
  return `${/^[aeiou]/i.test(label) ? "an" : "a"} ${label}`;
}

const WORDS = /[\p{L}\p{N}]+/gu;

/**
 * The class whose name stands in the prompt, the longest of several.
 *
 * @throws TtsVarError CONFIG_INVALID
 */
function classOf(prompt: string, labels: Labels): number {
  const normal = (text: string): string => ` ${(text.toLowerCase().match(WORDS) ?? []).join(" ")} `;
  const text = normal(prompt);
  let best = -1;
  let length = 0;
  labels.forEach((names, index) => {
    for (const name of names) {
      if (name.length > length && text.includes(normal(name))) [best, length] = [index, name.length];
    }
  });
  if (best >= 0) return best;
  const close = nearest(text.trim().split(" ").at(-1)!, labels.flat());
  throw new TtsVarError(
    "CONFIG_INVALID",
    `the classifier knows ${labels.length} classes, and "${prompt}" names none of them${close ? `; did you mean "${close}"?` : ""}`,
  );
}

function traitsOf(settings: ClassifierOptions, modelId: string, flops: number): RewardTraits {
  const own = settings.labels ? `+${settings.labels.join("|")}` : "";
  return {
    name: "classifier",
    version: `1+${settings.scale}${own}+${modelId}`,
    ...facts.classifier,
    flops,
    license: isEmbedded(settings.model) ? facts.classifier.license : "see the model's card",
    modelId,
  };
}

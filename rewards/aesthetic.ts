import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import { parseWith } from "../src/inference/folder/model-folder.ts";
import { readJson } from "../src/inference/folder/read-json.ts";
import { dot } from "../src/inference/vision/cosine.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { clipTransform, siglipTransform } from "../src/inference/vision/preprocess.ts";
import { openVisionTower } from "../src/inference/vision/vision-tower.ts";
import { facts } from "./parts/facts.ts";
import { folderReward } from "./parts/folder-reward.ts";

const options = z.strictObject({
  head: z.enum(["laion", "v2.5"]).default("laion"),
  model: z
    .string()
    .min(1)
    .optional()
    .describe("folder of CLIP ViT-L/14 (laion) or SigLIP so400m-384 (v2.5), beside it aesthetic_head.json"),
  divideBy: z.number().positive().default(1).describe("10 gives TTS-VAR's scale"),
});
type AestheticOptions = z.output<typeof options>;

const heads = {
  laion: {
    license: "Apache-2.0",
    source: "Schuhmann 2022, improved aesthetic predictor (sac+logos+ava1-l14-linearMSE)",
    transform: clipTransform,
  },
  "v2.5": {
    license: "AGPL-3.0",
    source: "discus0434 2024, aesthetic predictor v2.5",
    transform: siglipTransform,
  },
} as const;

const remedy =
  "a folder with onnx/vision_model.onnx and preprocessor_config.json; then training/.venv/bin/python training/export_rewards.py head --checkpoint HEAD.pth --out DIR, and model=DIR";

const headSchema = z.object({
  schemaVersion: z.literal(1),
  weights: z.array(z.number()).min(1),
  bias: z.number(),
});

/**
 * Aesthetic predictors: an affine map on the unit image embedding (their layers have no non-linearity between them, so
 * training/export_rewards.py folds them). The prompt is not read. Scores are about 1 to 10.
 *
 * V2.5 is AGPL-3.0: its licence is shown before use and nothing of it is part of this package.
 */
export const aesthetic = folderReward<AestheticOptions>({
  name: "aesthetic",
  summary: "LAION v2 or V2.5 aesthetic predictor",
  options,
  remedy,
  announce({ head }, host) {
    const { license, source } = heads[head];
    host.log(
      "warn",
      `reward aesthetic uses a head under ${license} (${source}); its terms are yours to keep`,
    );
  },
  traits: ({ head, divideBy }) => ({
    version: `1+${head}+${divideBy}`,
    suggestedLambda: facts.aesthetic.suggestedLambda * divideBy,
    license: heads[head].license,
    source: heads[head].source,
  }),
  async open({ dir }, settings) {
    const head = await readHead(join(dir, "aesthetic_head.json"));
    const { size } = await readImageTransform(dir);
    const tower = await openVisionTower(dir, { ...heads[settings.head].transform, size });
    return {
      async scores(batch) {
        const embeds = await tower.embed(batch.map((item) => item.image));
        return embeds.map((embed) => (dot(head.weights, embed) + head.bias) / settings.divideBy);
      },
      [Symbol.asyncDispose]: () => tower[Symbol.asyncDispose](),
    };
  },
});

async function readHead(path: string): Promise<z.output<typeof headSchema>> {
  if (existsSync(path)) return parseWith(headSchema, await readJson(path), path);
  throw new TtsVarError(
    "MODEL_NOT_FOUND",
    `${path} is missing; make it: training/.venv/bin/python training/export_rewards.py head`,
  );
}

import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { FeatureExtractor } from "../core/features.ts";
import type { FeatureDefinition } from "../core/plugin.ts";
import { modelFlops } from "../inference/folder/model-cost.ts";
import { openModelFolder } from "../inference/folder/model-folder.ts";
import type { LoadOptions } from "../inference/vision/clip-types.ts";
import { fitImage, readImageTransform, readInputSize } from "../inference/vision/image-processor.ts";
import { openVisionTower } from "../inference/vision/vision-tower.ts";
import { splitTokens } from "./split-tokens.ts";

const options = z.strictObject({
  threads: z.int().positive().optional().describe("Threads of the inference runtime"),
});

/**
 * Patch tokens of a CLIP vision tower (its last hidden state) as features for clustering.
 *
 * @param dir folder in transformers.js layout, as for `loadClip`; only its vision tower is opened
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME
 */
export async function openDualEncoder(dir: string, load: LoadOptions = {}): Promise<FeatureExtractor> {
  const folder = await openModelFolder(dir, { allowBare: true });
  const flops = await modelFlops(folder);
  const size = await readInputSize(folder.dir);
  const tower = await openVisionTower(folder.dir, await readImageTransform(folder.dir), load);
  return {
    name: folder.name,
    version: folder.modelId,
    flops,
    async extract(images) {
      // Previews are enlarged with the filter that all recorded features were made with.
      const fitted = await Promise.all(images.map((image) => fitImage(image, size)));
      const { tokens } = await tower.encode(fitted);
      if (!tokens) {
        throw new TtsVarError(
          "MODEL_INVALID",
          `the vision tower in ${dir} gives no patch tokens; export it with the output last_hidden_state`,
        );
      }
      return splitTokens(tokens);
    },
    [Symbol.asyncDispose]: () => tower[Symbol.asyncDispose](),
  };
}

/** The embedded dual encoder, or the CLIP folder given as the model. */
export function dualEncoderDefinition(dir: string): FeatureDefinition<z.output<typeof options>> {
  return {
    name: "dual-encoder",
    summary: "patch tokens of the vision tower of a dual encoder (CLIP layout)",
    options,
    create: ({ threads }) => openDualEncoder(dir, threads === undefined ? {} : { threads }),
  };
}

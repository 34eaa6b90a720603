import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { FeatureExtractor } from "../core/features.ts";
import type { FeatureDefinition } from "../core/plugin.ts";
import { type LoadOptions, loadClip } from "../inference/vision/clip.ts";
import { splitTokens } from "./split-tokens.ts";

const options = z.strictObject({
  threads: z.int().positive().optional().describe("Threads of the inference runtime"),
});

/**
 * Patch tokens of a CLIP vision tower (its last hidden state) as features for clustering.
 *
 * @param dir folder in transformers.js layout, as for `loadClip`
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME
 */
export async function openDualEncoder(dir: string, load: LoadOptions = {}): Promise<FeatureExtractor> {
  const clip = await loadClip(dir, load);
  return {
    name: clip.modelId.split("@")[0] ?? "dual-encoder",
    version: clip.modelId,
    flops: clip.flops.image,
    async extract(images) {
      const { tokens } = await clip.encodeImages(images);
      if (!tokens) {
        throw new TtsVarError(
          "MODEL_INVALID",
          `the vision tower in ${dir} gives no patch tokens; export it with the output last_hidden_state`,
        );
      }
      return splitTokens(tokens);
    },
    [Symbol.asyncDispose]: () => clip.dispose(),
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

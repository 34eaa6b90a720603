import { join } from "node:path";
import { z } from "zod";
import { openGraph } from "../src/inference/runtime/graph.ts";
import { loadTokenizer, type Tokenizer } from "../src/inference/runtime/tokenizer.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { clipTransform, toPixelValues } from "../src/inference/vision/preprocess.ts";
import { folderHelp, folderReward } from "./parts/folder-reward.ts";

/** Tokens of the original's text input, [CLS] and [SEP] included; padded to this length. */
const textLength = 35;

/**
 * ImageReward v1.0: BLIP reads prompt and image together; an affine head on its first hidden state, standardised by the
 * authors' mean and deviation, both inside the exported graph (pixel_values, input_ids, attention_mask -> rewards).
 *
 * Source: Xu et al. 2023 (ImageReward).
 */
export const imageReward = folderReward({
  name: "image-reward",
  summary: "ImageReward v1.0: human preference from BLIP",
  options: z.strictObject({ model: z.string().min(1).optional().describe(folderHelp) }),
  remedy:
    "training/.venv/bin/python training/export_rewards.py image-reward --checkpoint ImageReward.pt --tokenizer bert-base-uncased --out DIR, then model=DIR",
  async open({ dir }) {
    const transform = { ...clipTransform, size: (await readImageTransform(dir)).size };
    const tokenizer = await loadTokenizer(dir, textLength);
    const graph = await openGraph(join(dir, "onnx", "model.onnx"));
    return {
      async scores(batch) {
        const scores: number[] = [];
        // One at a time: a row's bits could otherwise depend on the number of rows.
        for (const { image, prompt } of batch) {
          const feeds = { pixel_values: toPixelValues([image], transform), ...textInputs(tokenizer, prompt) };
          const { rewards } = await graph.run(feeds, ["rewards"]);
          scores.push(rewards!.data[0]!);
        }
        return scores;
      },
      [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
    };
  },
});

/** Ids and mask as [1, 35]; the pad token of bert-base-uncased is 0. */
function textInputs(tokenizer: Tokenizer, prompt: string) {
  const ids = new BigInt64Array(textLength);
  const mask = new BigInt64Array(textLength);
  tokenizer.encode(prompt).forEach((id, at) => {
    ids[at] = BigInt(id);
    mask[at] = 1n;
  });
  const dims = [1, textLength];
  return { input_ids: { dims, data: ids }, attention_mask: { dims, data: mask } };
}

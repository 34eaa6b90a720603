import { Disposal } from "../../core/disposal.ts";
import type { RewardItem } from "../../core/reward.ts";
import type { LoadOptions } from "./clip-types.ts";
import { dot } from "./cosine.ts";
import type { ImageTransform } from "./preprocess.ts";
import { openTextTower, type TextTower } from "./text-tower.ts";
import { openVisionTower, type VisionTower } from "./vision-tower.ts";

/** A text and an image tower that share one space. */
export interface DualTower extends AsyncDisposable {
  readonly texts: TextTower;
  readonly images: VisionTower;
  /** Cosine of each item's image with its prompt, written by `template`. */
  cosines(batch: readonly RewardItem[], template?: (prompt: string) => string): Promise<number[]>;
}

/** Opens both towers of a folder in transformers.js layout (`onnx/text_model.onnx`, `onnx/vision_model.onnx`). */
export async function openDualTower(
  dir: string,
  transform: ImageTransform,
  load: LoadOptions = {},
): Promise<DualTower> {
  const owned = new Disposal();
  return owned.during(async () => {
    const texts = owned.use(await openTextTower(dir, load));
    const images = owned.use(await openVisionTower(dir, transform, load));
    return {
      texts,
      images,
      async cosines(batch, template = (prompt) => prompt) {
        const embeds = await images.embed(batch.map((item) => item.image));
        const cosines: number[] = [];
        for (const [index, { prompt }] of batch.entries()) {
          cosines.push(dot(embeds[index]!, await texts.embed(template(prompt))));
        }
        return cosines;
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    };
  });
}

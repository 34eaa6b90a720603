import type { RgbImage } from "../../../src/core/image.ts";
import { transformers } from "../../../src/inference/runtime/transformers.ts";

/** CLIP as transformers.js itself runs it, for an image of the model's own size: what our towers are compared with. */
export async function stockClip(dir: string) {
  const library = await transformers();
  const tokenizer = await library.AutoTokenizer.from_pretrained(dir);
  const processor = await library.AutoProcessor.from_pretrained(dir);
  const texts = await library.CLIPTextModelWithProjection.from_pretrained(dir);
  const views = await library.CLIPVisionModelWithProjection.from_pretrained(dir);
  return {
    async text(prompt: string): Promise<Float32Array> {
      return (await texts(tokenizer([prompt]))).text_embeds.data;
    },
    async image({ data, width, height }: RgbImage) {
      const output = await views(await processor([new library.RawImage(data, width, height, 3)]));
      return {
        embeds: output.image_embeds.data as Float32Array,
        tokens: output.last_hidden_state.data as Float32Array,
      };
    },
    async dispose(): Promise<void> {
      await Promise.all([texts.dispose(), views.dispose()]);
    },
  };
}

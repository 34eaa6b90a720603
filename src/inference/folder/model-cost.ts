import { join } from "node:path";
import { z } from "zod";
import type { ModelFolder } from "./model-folder.ts";
import { readJson } from "./read-json.ts";

const count = z.number().nonnegative();
const statedSchema = z.object({
  flops: z.union([count, z.looseObject({ image: count }).transform((f) => f.image)]),
});
const size = z.int().positive();
const vision = z.looseObject({
  image_size: size,
  patch_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
});

const vitB = { image_size: 224, hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 12 };
/** What configurations leave out, because it is the default of transformers' towers. */
const usual: ReadonlyMap<string, object> = new Map([
  ["clip", { ...vitB, patch_size: 32 }],
  ["siglip", { ...vitB, patch_size: 16 }],
]);

/**
 * FLOPs per scored image of a vision tower or detector: what its manifest states, else an estimate from the sizes in
 * `config.json`, else 0. The text tower is left out: it runs once per prompt.
 */
export async function modelFlops(folder: ModelFolder): Promise<number> {
  const stated = statedSchema.safeParse(folder.manifest);
  if (stated.success) return stated.data.flops;
  const config = await readJson(join(folder.dir, "config.json"));
  const family = String(config["model_type"]).replace(/_vision_model$/, "");
  const parsed = vision.safeParse({
    ...usual.get(family),
    ...((config["vision_config"] as object) ?? config),
  });
  if (!parsed.success) return 0;
  const {
    image_size,
    patch_size,
    hidden_size: width,
    intermediate_size: hidden,
    num_hidden_layers,
  } = parsed.data;
  const tokens = (image_size / patch_size) ** 2 + 1;
  return 2 * num_hidden_layers * tokens * (4 * width ** 2 + 2 * width * hidden + 2 * tokens * width);
}

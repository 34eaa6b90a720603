import { join } from "node:path";
import * as z from "zod";
import type { RgbImage } from "../../core/image.ts";
import { type ModelFolder, parseWith } from "../folder/model-folder.ts";
import { readJson } from "../folder/read-json.ts";
import { openPretrained } from "../runtime/transformers.ts";
import type { Detection, Detector } from "./detection.ts";
import { createFolderDetector, floatOutput } from "./folder-detector.ts";
import { fitImage, inputSizeSchema, targetSize } from "./image-processor.ts";
import { readMasks } from "./mask-output.ts";

/** Model types whose outputs are masks and classes per query, without boxes. */
export const MASK_TYPES: ReadonlySet<string> = new Set(["maskformer", "mask2former"]);

const processorSchema = z.looseObject({
  size: inputSizeSchema.default({ shortest: 800, longest: 1333 }),
  size_divisor: z.int().positive().default(32),
  image_mean: z.array(z.number()).length(3).default([0.485, 0.456, 0.406]),
  image_std: z.array(z.number()).length(3).default([0.229, 0.224, 0.225]),
});

type Processor = z.output<typeof processorSchema>;

/**
 * Opens a MaskFormer-like folder. Images are resized and normalised here: the stock processor scales by the longer side
 * even upwards, and pads, which would have to be cut off the masks again.
 *
 * @throws TtsVarError MODEL_INVALID, MODEL_RUNTIME
 */
export async function openMaskDetector(
  folder: ModelFolder,
  labels: readonly string[],
  minimumScore: number,
  threads?: number,
): Promise<Detector> {
  const processorPath = join(folder.dir, "preprocessor_config.json");
  const processor = parseWith(processorSchema, await readJson(processorPath), processorPath);
  // The base class passes all outputs through, whatever the architecture.
  const { library, model, leave } = await openPretrained("PreTrainedModel", folder.dir, threads);
  const wantsMask = Object.values(model.sessions).some(({ inputNames }) => inputNames.includes("pixel_mask"));

  async function detectOne(image: RgbImage): Promise<Detection[]> {
    const { width, height, data } = await fitImage(image, inputSize(image, processor));
    const pixel_values = new library.Tensor("float32", normalised(data, processor), [1, 3, height, width]);
    const pixel_mask = new library.Tensor("int64", new BigInt64Array(width * height).fill(1n), [
      1,
      height,
      width,
    ]);
    const output = await model.forward({ pixel_values, ...(wantsMask ? { pixel_mask } : {}) });
    const tensors = {
      classes: floatOutput(output, "class_queries_logits", folder),
      masks: floatOutput(output, "masks_queries_logits", folder),
    };
    return readMasks(tensors, labels, image, minimumScore);
  }

  return createFolderDetector({ folder, labels, detectOne, dispose: leave });
}

/** The processor's size for an image, each side rounded up to a multiple of the divisor as in Python. */
function inputSize(image: RgbImage, { size, size_divisor }: Processor): { width: number; height: number } {
  const aligned = (side: number): number => Math.ceil(side / size_divisor) * size_divisor;
  const { width, height } = targetSize(image, size);
  return { width: aligned(width), height: aligned(height) };
}

/** Planar float pixels, rescaled and normalised: [3, height, width]. */
function normalised(data: Uint8Array, { image_mean, image_std }: Processor): Float32Array {
  const pixels = data.length / 3;
  const values = new Float32Array(data.length);
  for (let channel = 0; channel < 3; channel++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      values[channel * pixels + pixel] =
        (data[pixel * 3 + channel]! / 255 - image_mean[channel]!) / image_std[channel]!;
    }
  }
  return values;
}

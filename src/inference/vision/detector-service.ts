/** Detectors through transformers.js, and the service module that runs them inside an inference worker. */
import { join } from "node:path";
import * as z from "zod";
import type { RgbImage } from "../../core/image.ts";
import { openModelFolder, parseWith } from "../folder/model-folder.ts";
import { readJson } from "../folder/read-json.ts";
import { notLoaded, openPretrained, transformers } from "../runtime/transformers.ts";
import type { Service } from "../runtime/worker/protocol.ts";
import type { Detection, Detector, DetectorMethods } from "./detection.ts";
import { readDetections } from "./detector-output.ts";
import { createFolderDetector, floatOutput } from "./folder-detector.ts";
import { fitImage, readInputSize } from "./image-processor.ts";
import { MASK_TYPES, openMaskDetector } from "./mask-detector-service.ts";
import { suppressOverlaps } from "./suppress-overlaps.ts";

const configSchema = z.looseObject({ model_type: z.string(), id2label: z.record(z.string(), z.string()) });
/** What a manifest may add: overlap from which boxes of one label are one object, for models that give several. */
const manifestSchema = z.looseObject({ nms: z.number().gt(0).max(1).optional() });

export interface DetectorServiceOptions {
  readonly dir: string;
  readonly threads?: number;
  readonly minimumScore?: number;
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME */
export async function openDetector({
  dir,
  threads,
  minimumScore = 0.05,
}: DetectorServiceOptions): Promise<Detector> {
  const folder = await openModelFolder(dir, { allowBare: true });
  const configPath = join(folder.dir, "config.json");
  const config = parseWith(configSchema, await readJson(configPath), configPath);
  const labels = labelsOf(config.id2label);
  const { nms } = parseWith(manifestSchema, folder.manifest, join(folder.dir, "manifest.json"));
  if (MASK_TYPES.has(config.model_type)) {
    return openMaskDetector(folder, labels, minimumScore, threads);
  }
  const layout = { modelType: config.model_type, labels };
  const library = await transformers();
  const processor = await library.AutoImageProcessor.from_pretrained(folder.dir).catch((cause) =>
    notLoaded(folder.dir, cause),
  );
  const { model, leave } = await openPretrained("AutoModelForObjectDetection", folder.dir, threads);
  const size = await readInputSize(folder.dir);
  // `fitImage` does it: the stock resizing scales up to the longest edge, 2.8 times the pixels of DETR's 800 x 800.
  processor.do_resize = false;

  async function detectOne(image: RgbImage): Promise<Detection[]> {
    const { data, width, height } = await fitImage(image, size);
    const { pixel_values, pixel_mask } = await processor([new library.RawImage(data, width, height, 3)]);
    // `forward` gives all outputs; the typed call would drop those that transformers.js does not know.
    const output = await model.forward({ pixel_values, pixel_mask });
    const tensors = {
      logits: floatOutput(output, "logits", folder),
      boxes: floatOutput(output, "pred_boxes", folder),
      colors: output["color_logits"] ? floatOutput(output, "color_logits", folder) : null,
    };
    const found = readDetections(tensors, layout, image, minimumScore);
    return nms === undefined ? found : suppressOverlaps(found, nms);
  }

  return createFolderDetector({ folder, labels, detectOne, dispose: leave });
}

/** Names by class number; a number that the model's list leaves out has none. */
function labelsOf(id2label: Readonly<Record<string, string>>): string[] {
  const length = 1 + Math.max(-1, ...Object.keys(id2label).map(Number));
  return Array.from({ length }, (_, index) => id2label[index] ?? "");
}

export async function openService(options: DetectorServiceOptions): Promise<Service<DetectorMethods>> {
  const detector = await openDetector(options);
  const { modelId, flops, labels } = detector;
  return {
    methods: {
      describe: async () => ({ modelId, flops, labels }),
      detect: (images) => detector.detect(images),
    },
    close: () => detector.dispose(),
  };
}

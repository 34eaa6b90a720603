import { resolve } from "node:path";
import type { Judge } from "../core/benchmark.ts";
import { genevalLabels } from "../eval/geneval/class-aliases.ts";
import { type ClipEncoder, clipColors, detectorColors } from "../eval/geneval/color-classifiers.ts";
import type { CropOptions } from "../eval/geneval/crop.ts";
import { createJudge } from "../eval/geneval/judge.ts";
import type { ColorClassifier, DetectedObject, Detector } from "../eval/geneval/judge-ports.ts";
import type { GenevalMetadata, RuleOptions } from "../eval/geneval/rules.ts";
import { embeddedModelPath } from "../inference/folder/model-folder.ts";
import { loadClip } from "../inference/vision/clip.ts";
import type { Detection } from "../inference/vision/detection.ts";
import { loadDetector } from "../inference/vision/detector.ts";

export interface JudgeChoice {
  /** Name of an embedded model, or a folder. */
  readonly detector: string;
  /** CLIP folder (or embedded name) that names colours; null: the detector's colour head. */
  readonly colorModel: string | null;
  readonly rules: RuleOptions;
  /** How objects are shown to the colour model. */
  readonly crop?: CropOptions;
}

/**
 * Loads a judge.
 *
 * @throws MODEL_NOT_FOUND, MODEL_INVALID (also when the detector does not know all of GenEval's classes), PLUGIN_UNKNOWN
 */
export async function openJudge({
  detector,
  colorModel,
  rules,
  crop,
}: JudgeChoice): Promise<Judge<GenevalMetadata>> {
  const opened = await openDetector(detector);
  try {
    const colors = colorModel === null ? detectorColors() : await openClipColors(colorModel, crop);
    return createJudge({ detector: opened, colors, rules });
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

async function modelDir(name: string): Promise<string> {
  return /[/\\]|^\.\.?$/.test(name) ? resolve(name) : embeddedModelPath(name);
}

/** A detector under GenEval's names. @throws as `openJudge` */
export async function openDetector(name: string): Promise<Detector> {
  const model = await loadDetector(await modelDir(name));
  let names: ReturnType<typeof genevalLabels>;
  try {
    names = genevalLabels(model.labels, name);
  } catch (error) {
    await model.dispose();
    throw error;
  }
  const translate = (detection: Detection, width: number, height: number): DetectedObject[] => {
    const label = names.get(detection.label) ?? null;
    if (label === null) return [];
    const { mask, ...rest } = detection;
    return [{ ...rest, label, ...(mask ? { mask: { width, height, data: mask } } : {}) }];
  };
  return {
    modelId: model.modelId,
    flops: model.flops,
    async detect(images) {
      const found = await model.detect(images);
      return found.map((detections, index) =>
        detections.flatMap((detection) => translate(detection, images[index]!.width, images[index]!.height)),
      );
    },
    [Symbol.asyncDispose]: () => model.dispose(),
  };
}

async function openClipColors(name: string, crop: CropOptions | undefined): Promise<ColorClassifier> {
  const clip = await loadClip(await modelDir(name));
  const [id, hash = ""] = clip.modelId.split("@");
  const encoder: ClipEncoder = {
    encodeText: (prompts) => clip.encodeText(prompts),
    encodeImages: async (images) => (await clip.encodeImages(images)).embeds,
    [Symbol.asyncDispose]: () => clip.dispose(),
  };
  return clipColors(`${id}@${hash.slice(0, 8)}`, encoder, crop);
}

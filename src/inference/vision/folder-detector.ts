import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { ModelFolder } from "../folder/model-folder.ts";
import type { Detection, Detector } from "./detection.ts";

/** What one model adds to a detector in a folder. */
export interface FolderDetectorParts {
  readonly folder: ModelFolder;
  /** Names by class number. */
  readonly labels: readonly string[];
  detectOne(image: RgbImage): Promise<Detection[]>;
  dispose(): Promise<unknown>;
}

/** A detector with the identity and the price that its folder states. */
export function createFolderDetector({ folder, labels, detectOne, dispose }: FolderDetectorParts): Detector {
  return {
    modelId: folder.modelId,
    flops: flopsPerImage(folder.manifest),
    labels,
    // One at a time: a row's bits could otherwise depend on the number of rows (see decision record 0003).
    async detect(images) {
      const found: Detection[][] = [];
      for (const image of images) found.push(await detectOne(image));
      return found;
    },
    async dispose() {
      await dispose();
    },
  };
}

function flopsPerImage({ flops }: Readonly<Record<string, unknown>>): number {
  const perImage = (flops as { readonly image?: unknown } | undefined)?.image ?? flops;
  return typeof perImage === "number" ? perImage : 0;
}

/** An output of a detector's graph. @throws MODEL_INVALID if it is missing or not float32 */
export function floatOutput(
  outputs: Readonly<Record<string, { dims: number[]; data: unknown } | undefined>>,
  name: string,
  { dir }: Pick<ModelFolder, "dir">,
): Tensor {
  const tensor = outputs[name];
  if (tensor?.data instanceof Float32Array) return { dims: tensor.dims, data: tensor.data };
  throw new TtsVarError("MODEL_INVALID", `the detector in ${dir} has no float32 output ${name}`);
}

import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { type CropOptions, cropObject, officialCrop } from "./crop.ts";
import type { ColorClassifier } from "./judge-ports.ts";
import { colorNames } from "./vocabulary.ts";

/** Uses the colour head of the detector: the most probable of the ten colours. */
export function detectorColors(): ColorClassifier {
  return {
    id: null,
    async classify(_image, objects, name) {
      return objects.map(({ colors }) => {
        if (colors) return colorNames[indexOfMax(colors)]!;
        throw new TtsVarError(
          "MODEL_INVALID",
          `the detector names no colours (asked for "${name}"); give a CLIP folder with --color-model`,
        );
      });
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The part of a CLIP model that the classifier needs. */
export interface ClipEncoder extends AsyncDisposable {
  /** [prompts, dim], any length. */
  encodeText(prompts: readonly string[]): Promise<Tensor>;
  /** [images, dim], any length. */
  encodeImages(images: readonly RgbImage[]): Promise<Tensor>;
}

/**
 * GenEval's zero-shot classifier: three templates per colour and class, normalised, averaged, normalised again; crops on
 * grey by `cropObject`, unless told otherwise. Text vectors are kept per class.
 */
export function clipColors(id: string, clip: ClipEncoder, crop: CropOptions = officialCrop): ColorClassifier {
  const known = new Map<string, Promise<readonly Float64Array[]>>();
  const prototypes = (name: string): Promise<readonly Float64Array[]> => {
    const promise = known.get(name) ?? encodeColors(clip, name);
    known.set(name, promise);
    return promise;
  };
  return {
    id: [id, ...differences(crop)].join(", "),
    async classify(image, objects, name) {
      if (objects.length === 0) return [];
      const colors = await prototypes(name);
      const crops = await clip.encodeImages(objects.map((object) => cropObject(image, object, crop)));
      return objects.map((_, row) => {
        const vector = rowOf(crops, row);
        const scores = colors.map((color) => color.reduce((sum, value, at) => sum + value * vector[at]!, 0));
        return colorNames[indexOfMax(scores)]!;
      });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(clip[Symbol.asyncDispose]()),
  };
}

/** What differs from the official crops, in GenEval's words. */
function differences({ background, cut }: CropOptions): string[] {
  const color =
    background === null
      ? "original"
      : `#${background.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  return [...(color === "#999999" ? [] : [`bgcolor=${color}`]), ...(cut ? [] : ["crop=0"])];
}

async function encodeColors(clip: ClipEncoder, name: string): Promise<Float64Array[]> {
  const prompts = colorNames.flatMap((color) => [
    `a photo of a ${color} ${name}`,
    `a photo of a ${color}-colored ${name}`,
    `a photo of a ${color} object`,
  ]);
  const vectors = await clip.encodeText(prompts);
  return colorNames.map((_, color) => {
    const mean = new Float64Array(vectors.dims[1]!);
    for (let template = 0; template < 3; template++) {
      const vector = unit(rowOf(vectors, color * 3 + template));
      for (let at = 0; at < mean.length; at++) mean[at] = mean[at]! + vector[at]! / 3;
    }
    return unit(mean);
  });
}

function unit(vector: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(vector);
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}

function indexOfMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index;
  return best;
}

import { readFile } from "node:fs/promises";
import { Disposal } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";
import { openGraph } from "../runtime/graph.ts";
import { resample } from "../vision/resize-pillow.ts";
import { decodeText, type ReadText } from "./decode-text.ts";
import { linesOf, type Rectangle } from "./lines.ts";
import type { OcrModels } from "./models.ts";

export interface ReadLine extends ReadText {
  /** In pixels of the image. */
  readonly box: Rectangle;
}

/** Reads the text in images. */
export interface TextReader extends AsyncDisposable {
  readonly modelId: string;
  /** Lines in reading order. */
  read(image: RgbImage): Promise<ReadLine[]>;
}

/** Longer side of what the detector sees, least and most; both sides are multiples of 32. */
const detectorSides = [640, 960] as const;
const lineHeight = 48;
/** Below it, PaddleOCR drops a line (drop_score). */
const leastConfidence = 0.5;

/**
 * PP-OCRv4: a detector of lines (DB) and a recogniser (SVTR-LCNet with CTC), both on BGR as PaddleOCR feeds them. Each
 * image and line runs by itself, so what is read never depends on a batch.
 *
 * Source: PaddleOCR (Apache-2.0), predict_det.py and predict_rec.py.
 *
 * @throws MODEL_INVALID when graphs and characters do not fit; MODEL_RUNTIME
 */
export async function openTextReader(models: OcrModels): Promise<TextReader> {
  const owned = new Disposal();
  const [detector, recogniser] = await owned.during(async () => [
    owned.use(await openGraph(models.detection)),
    owned.use(await openGraph(models.recognition)),
  ]);
  // The file has a line per character; a space comes last, as PaddleOCR adds it.
  const characters = [...(await readFile(models.keys, "utf8")).replace(/\n$/, "").split("\n"), " "];

  async function find(image: RgbImage): Promise<Rectangle[]> {
    const longer = Math.max(image.width, image.height);
    const scale = Math.min(Math.max(longer, detectorSides[0]), detectorSides[1]) / longer;
    const to = { width: multipleOf32(image.width * scale), height: multipleOf32(image.height * scale) };
    const resized = resample(image.data, image, to, "bilinear");
    const pixels = toTensor(resized, to, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    const { [detector.outputs[0]!]: map } = await detector.run({ [detector.inputs[0]!]: pixels });
    const [sx, sy] = [image.width / to.width, image.height / to.height];
    return linesOf(map!.data as Float32Array, to.width, to.height).map((box) => ({
      left: Math.floor(box.left * sx),
      top: Math.floor(box.top * sy),
      right: Math.min(Math.ceil(box.right * sx), image.width),
      bottom: Math.min(Math.ceil(box.bottom * sy), image.height),
    }));
  }

  async function recognise(image: RgbImage, box: Rectangle): Promise<ReadText> {
    const cut = cutOut(image, box);
    const to = { width: Math.max(Math.round((lineHeight * cut.width) / cut.height), 8), height: lineHeight };
    const resized = resample(cut.data, cut, to, "bilinear");
    const pixels = toTensor(resized, to, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);
    const { [recogniser.outputs[0]!]: chances } = await recogniser.run({ [recogniser.inputs[0]!]: pixels });
    const classes = chances!.dims.at(-1)!;
    if (classes !== characters.length + 1) {
      throw new TtsVarError(
        "MODEL_INVALID",
        `${models.recognition} tells ${classes - 1} characters apart, but ${models.keys} lists ${characters.length}`,
      );
    }
    return decodeText(chances!.data as Float32Array, classes, characters);
  }

  return {
    modelId: models.modelId,
    async read(image) {
      const lines: ReadLine[] = [];
      for (const box of await find(image)) {
        const line = await recognise(image, box);
        if (line.text !== "" && line.confidence >= leastConfidence) lines.push({ ...line, box });
      }
      return lines;
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

function multipleOf32(side: number): number {
  return Math.max(Math.round(side / 32) * 32, 32);
}

function cutOut(image: RgbImage, { left, top, right, bottom }: Rectangle): RgbImage {
  const [width, height] = [right - left, bottom - top];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** [1, 3, height, width], channels in the order BGR, which is what means and deviations are applied to. */
function toTensor(
  data: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
  mean: readonly number[],
  std: readonly number[],
): Tensor {
  const plane = width * height;
  const values = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    for (let at = 0; at < plane; at++) {
      values[channel * plane + at] = (data[at * 3 + 2 - channel]! / 255 - mean[channel]!) / std[channel]!;
    }
  }
  return { dims: [1, 3, height, width], data: values };
}

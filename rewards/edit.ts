import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RgbImage } from "../src/core/image.ts";
import type { RewardDefinition, RewardHost } from "../src/core/plugin.ts";
import type { Reward, RewardItem, RewardTraits } from "../src/core/reward.ts";
import type { Box } from "../src/eval/geneval/geometry.ts";
import { officialOptions } from "../src/eval/geneval/rules.ts";
import { modelFolder } from "../src/inference/folder/find-folder.ts";
import { modelFlops } from "../src/inference/folder/model-cost.ts";
import { openModelFolder } from "../src/inference/folder/model-folder.ts";
import { resample } from "../src/inference/vision/resize-pillow.ts";
import { type ColoredDetection, denseScore } from "./parts/dense-score.ts";
import { type EditInstruction, parseInstruction, type Way } from "./parts/edit-instruction.ts";
import { facts } from "./parts/facts.ts";
import { openNamedDetector } from "./parts/named-detector.ts";

const options = z.strictObject({
  detector: z.string().min(1).default("detector-a").describe("embedded detector, or a detector folder"),
  threshold: z.number().min(0).max(1).default(officialOptions.threshold),
});
type EditOptions = z.output<typeof options>;

/** PSNR in dB at which what should have stayed counts half. */
const HALF = 25;
/** What belongs to an object beyond its box, as a share of the picture's side: what is decoded with it. */
const MARGIN = 1 / 16;
/** Least way of a moved object, as a share of the side. */
const LEAST_MOVE = 0.1;

/**
 * Whether a picture was edited as the instruction says and is otherwise the source: the dense verdict of a detector on what should be
 * there and what should be gone, times how well all outside the objects concerned is preserved. In [0, 1].
 *
 * Source: this project; the pair of success and preservation is that of EMU-Edit's and VAREdit's evaluations (GPT-Suc., GPT-Over).
 */
export const edit: RewardDefinition<EditOptions> = {
  name: "edit",
  summary: "whether an instruction was followed, times how well the rest of the source is preserved",
  license: facts.edit.license,
  options,
  async traits(settings, host) {
    const dir = await modelFolder(settings.detector, host);
    const folder = await openModelFolder(dir, { verify: false, allowBare: true });
    return traitsOf(folder.modelId, await modelFlops(folder), settings);
  },
  create: createEdit,
};

async function createEdit(settings: EditOptions, host: RewardHost): Promise<Reward> {
  const dir = await modelFolder(settings.detector, host);
  const { detector, names } = await openNamedDetector(dir, settings.detector);
  const find = async (images: readonly RgbImage[]): Promise<ColoredDetection[][]> =>
    (await detector.detect(images)).map((found) =>
      found.flatMap(({ label: word, score, box, colors }) => {
        const label = names.get(word);
        return label ? [{ label, score, box, colors: colors ?? [] }] : [];
      }),
    );
  const sources = new WeakMap<RgbImage, Promise<ColoredDetection[]>>();
  /** Once a task: all its candidates have the same source. */
  const inSource = (source: RgbImage): Promise<ColoredDetection[]> => {
    const known = sources.get(source) ?? find([source]).then(([found]) => found!);
    sources.set(source, known);
    return known;
  };
  return {
    ...traitsOf(detector.modelId, detector.flops, settings),
    async score(batch) {
      // Before the detector runs, so that an unreadable instruction costs nothing.
      const asked = batch.map((item) => ({ source: sourceOf(item), wanted: parseInstruction(item.prompt) }));
      const found = await find(batch.map(({ image }) => image));
      const verdicts = [];
      for (const [at, { source, wanted }] of asked.entries()) {
        const before = await inSource(source);
        verdicts.push(judge(batch[at]!.image, source, found[at]!, before, wanted, settings.threshold));
      }
      return { scores: verdicts.map(({ score }) => score), details: verdicts };
    },
    [Symbol.asyncDispose]: () => detector.dispose(),
  };
}

function traitsOf(modelId: string, flops: number, { threshold }: EditOptions): RewardTraits {
  return { name: "edit", version: `1+${threshold}+${modelId}`, ...facts.edit, flops, modelId };
}

function sourceOf({ source }: RewardItem): RgbImage {
  if (source) return source;
  throw new TtsVarError(
    "REWARD_FAILED",
    "reward edit compares with the picture that is edited, but the task has none: give one with --image, to a model that edits",
  );
}

function judge(
  image: RgbImage,
  source: RgbImage,
  found: readonly ColoredDetection[],
  before: readonly ColoredDetection[],
  wanted: EditInstruction,
  threshold: number,
) {
  const { from, to, way, kind } = wanted;
  const gone = from !== null && from !== to?.class ? [{ class: from, count: 1 }] : [];
  const metadata = { tag: "single_object", prompt: "", include: to ? [to] : [], exclude: gone };
  const { score: there, reason } = denseScore(metadata, found, { ...officialOptions, threshold });
  const boxes = (label: string | null, among: readonly ColoredDetection[]): Box[] =>
    among.filter((each) => each.label === label && each.score > threshold).map(({ box }) => box);
  const scale = image.width / source.width;
  const old = boxes(from, before).map((box) => box.map((edge) => edge * scale) as unknown as Box);
  const own = boxes(to?.class ?? null, found);
  const placed =
    way === null ? 1 : stands(own[0], kind === "move" ? old[0] : undefined, way, image) ? 1 : 0.5;
  const psnr = psnrOutside(image, source, [...old, ...own]);
  const preserved = 1 / (1 + 10 ** ((HALF - psnr) / 10));
  const followed = there * placed;
  return { score: followed * preserved, followed, preserved, psnr: Number(psnr.toFixed(2)), reason };
}

/** Whether an object stands on a half of the picture, or that way of where it stood. */
function stands(box: Box | undefined, from: Box | undefined, way: Way, { width, height }: RgbImage): boolean {
  if (!box) return false;
  const axis = way === "left" || way === "right" ? 0 : 1;
  const side = axis === 0 ? width : height;
  const centre = (of: Box): number => (of[axis] + of[axis + 2]!) / 2 / side;
  const shift = centre(box) - (from ? centre(from) : 0.5);
  return (way === "left" || way === "up" ? -shift : shift) > (from ? LEAST_MOVE : 0);
}

/** PSNR in dB to the source where no box is; infinite pictures of nothing but boxes count as preserved. */
function psnrOutside(image: RgbImage, source: RgbImage, boxes: readonly Box[]): number {
  const { width, height, data } = image;
  const other = resample(source.data, source, image, "bilinear");
  const margin = MARGIN * width;
  const inside = (x: number, y: number): boolean =>
    boxes.some(
      ([x0, y0, x1, y1]) => x >= x0 - margin && x < x1 + margin && y >= y0 - margin && y < y1 + margin,
    );
  let [sum, count] = [0, 0];
  for (let at = 0; at < width * height; at++) {
    if (inside(at % width, Math.floor(at / width))) continue;
    for (let channel = 3 * at; channel < 3 * at + 3; channel++) {
      sum += (data[channel]! - other[channel]!) ** 2;
      count++;
    }
  }
  return 10 * Math.log10((255 ** 2 * Math.max(count, 1)) / Math.max(sum, 1));
}

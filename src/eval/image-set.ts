import type { Benchmark, FoundImage, FoundSet } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { type EvaluationRecord, readEvaluation } from "./evaluation-record.ts";
import { findImages } from "./find-images.ts";
import { requireComplete } from "./summary.ts";

/** Facts about a set that result rows repeat, so that a results file can be understood on its own. */
export interface SetFacts {
  /** Images that the whole set has. */
  readonly expected: number;
  readonly rewardModel: string | null;
}

/** The images of an evaluation's folder, sorted by prompt and sample. */
export interface ImageSet extends SetFacts {
  readonly images: readonly FoundImage[];
  /** What is there but not judged: path and reason. */
  readonly ignored: readonly string[];
}

/**
 * Finds the images of a folder in the benchmark's layout, ours or another program's.
 *
 * @throws EVAL_PARTIAL when images are missing, unless allowed; EVAL_DATA for bad metadata or no images at all
 */
export async function openImageSet(
  benchmark: Benchmark,
  dir: string,
  allowPartial: boolean,
): Promise<ImageSet> {
  const evaluation = await readEvaluation(dir);
  if (evaluation?.benchmark !== undefined && evaluation.benchmark !== benchmark.name) {
    throw new TtsVarError(
      "EVAL_DATA",
      `${dir} holds images of ${evaluation.benchmark}, not of ${benchmark.title}`,
    );
  }
  const found = await findImages(benchmark, dir);
  const { images, expected, missing, ignored } = checkSet(found, evaluation);
  if (images.length === 0) {
    const [index = 0, item = { prompt: "", tag: "" }] = [...found.items][0] ?? [];
    throw new TtsVarError(
      "EVAL_DATA",
      `${dir} holds no image to judge; ${benchmark.title} has them at ${benchmark.layout.image(index, 0, item)} and so on` +
        (ignored.length > 0 ? `. ${describeIgnored(ignored)}` : ""),
      { details: { dir, ignored } },
    );
  }
  if (!allowPartial) {
    requireComplete(
      { images: images.length, expectedImages: expected, missing },
      dir,
      evaluation
        ? undefined
        : `add the missing images${ignored.length > 0 ? ` (${describeIgnored(ignored)})` : ""}`,
    );
  }
  return { images, expected, rewardModel: evaluation?.rewardModel ?? null, ignored };
}

/** "Not read: a (why), b (why)". */
export function describeIgnored(ignored: readonly string[]): string {
  const shown = ignored.length > 6 ? [...ignored.slice(0, 5), `and ${ignored.length - 5} more`] : ignored;
  return `Not read: ${shown.join(", ")}`;
}

/** The images that belong to the set, how many there should be, and which are missing. */
function checkSet({ images, items, ignored }: FoundSet, evaluation: EvaluationRecord | null) {
  const promptCount = evaluation?.prompts ?? Math.max(-1, ...items.keys()) + 1;
  const counts = new Map<number, number>();
  const belongs = ({ index, sample }: FoundImage): boolean =>
    evaluation === null || (index < evaluation.prompts && sample < evaluation.samples);
  const inside = images.filter(belongs);
  const outside = images
    .filter((image) => !belongs(image))
    .map(({ filename }) => `${filename} (more than the evaluation has)`);
  for (const { index } of inside) counts.set(index, (counts.get(index) ?? 0) + 1);
  const samples = evaluation?.samples ?? Math.max(0, ...counts.values());
  const missing: string[] = [];
  for (let index = 0; index < promptCount; index++) {
    const have = counts.get(index) ?? 0;
    if (have < samples || samples === 0)
      missing.push(`${String(index).padStart(5, "0")} has ${have} of ${samples} images`);
  }
  const shown =
    missing.length > 5 ? [...missing.slice(0, 4), `and ${missing.length - 4} prompts more`] : missing;
  const expected = promptCount * samples;
  return { images: inside, expected, missing: shown, ignored: [...ignored, ...outside] };
}

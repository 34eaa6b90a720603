import { type EvaluationRecord, readEvaluation } from "./evaluation-record.ts";
import { type FoundImage, type FoundSet, layout, scanImages } from "./layout.ts";
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
}

/**
 * Finds the images of a folder in GenEval's layout, ours or another program's.
 *
 * @throws EVAL_PARTIAL when images are missing, unless allowed; EVAL_DATA for bad metadata or no images at all
 */
export async function openImageSet(dir: string, allowPartial: boolean): Promise<ImageSet> {
  const found = await scanImages(dir);
  const evaluation = await readEvaluation(dir);
  const { images, expected, missing } = checkSet(found, evaluation);
  if (!allowPartial) requireComplete({ images: images.length, expectedImages: expected, missing }, dir);
  return { images, expected, rewardModel: evaluation?.rewardModel ?? null };
}

/** The images that belong to the set, how many there should be, and which are missing. */
function checkSet({ images, prompts }: FoundSet, evaluation: EvaluationRecord | null) {
  const promptCount = evaluation?.prompts ?? Math.max(...prompts.keys()) + 1;
  const counts = new Map<number, number>();
  const inside = images.filter(
    ({ promptIndex, sample }) =>
      evaluation === null || (promptIndex < evaluation.prompts && sample < evaluation.samples),
  );
  for (const { promptIndex } of inside) counts.set(promptIndex, (counts.get(promptIndex) ?? 0) + 1);
  const samples = evaluation?.samples ?? Math.max(0, ...counts.values());
  const missing: string[] = [];
  for (let index = 0; index < promptCount; index++) {
    const have = counts.get(index) ?? 0;
    if (have < samples || samples === 0)
      missing.push(`${layout.prompt(index)} has ${have} of ${samples} images`);
  }
  const shown =
    missing.length > 5 ? [...missing.slice(0, 4), `and ${missing.length - 4} prompts more`] : missing;
  return { images: inside, expected: promptCount * samples, missing: shown };
}

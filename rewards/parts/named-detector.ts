import { genevalLabels } from "../../src/eval/geneval/class-aliases.ts";
import type { Detector } from "../../src/inference/vision/detection.ts";
import { loadDetector } from "../../src/inference/vision/detector.ts";

/** A detector, and GenEval's names of its labels. */
export interface NamedDetector {
  readonly detector: Detector;
  readonly names: ReturnType<typeof genevalLabels>;
}

/**
 * Opens a detector that reports even faint detections: they are what an unsatisfied condition is graded by.
 *
 * @param name how the user calls it, for errors
 * @throws TtsVarError when it does not know GenEval's classes; nothing stays open then
 */
export async function openNamedDetector(dir: string, name: string): Promise<NamedDetector> {
  const detector = await loadDetector(dir, { minimumScore: 0.001 });
  try {
    return { detector, names: genevalLabels(detector.labels, name) };
  } catch (error) {
    await detector.dispose();
    throw error;
  }
}

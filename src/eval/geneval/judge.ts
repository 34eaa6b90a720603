import type { ImageVerdict, Judge } from "../../core/benchmark.ts";
import type { RgbImage } from "../../core/image.ts";
import { atomsOf } from "./atoms.ts";
import { inOwnWords } from "./closed-vocabulary.ts";
import type { ColorClassifier, DetectedObject, Detector } from "./judge-ports.ts";
import {
  type DetectionRow,
  decide,
  type GenevalMetadata,
  keepObjects,
  objectsToColor,
  officialOptions,
  type RuleOptions,
} from "./rules.ts";

export interface JudgeOptions {
  readonly detector: Detector;
  readonly colors: ColorClassifier;
  readonly rules?: RuleOptions;
  /** Images per call of the detector. */
  readonly batch?: number;
}

/** A detector, a colour classifier and GenEval's rules. */
export function createJudge({
  detector,
  colors,
  rules = officialOptions,
  batch = 16,
}: JudgeOptions): Judge<GenevalMetadata> {
  async function judgeOne(
    image: RgbImage,
    item: GenevalMetadata,
    found: readonly DetectedObject[],
  ): Promise<ImageVerdict> {
    const metadata = inOwnWords(item, `metadata of "${item.prompt}"`);
    const byClass = new Map<string, DetectedObject[]>();
    for (const object of found) byClass.set(object.label, [...(byClass.get(object.label) ?? []), object]);
    const rows: Record<string, DetectionRow[]> = {};
    for (const [name, objects] of byClass) rows[name] = objects.map(({ box, score }) => [...box, score]);
    const kept = keepObjects(rows, metadata.tag, rules);
    const named: Record<string, readonly string[]> = {};
    for (const [name, queried] of objectsToColor(metadata, kept)) {
      const objects = queried.map(({ index }) => byClass.get(name)![index]!);
      named[name] = await colors.classify(image, objects, name);
    }
    const details: Record<string, DetectionRow[]> = {};
    for (const [name, objects] of Object.entries(kept)) {
      details[name] = objects.map(({ box, score }) => [...box, score]);
    }
    const { correct, reason, clauses } = decide(metadata, kept, named, rules);
    return { correct, reason, atoms: atomsOf(metadata, clauses), details };
  }

  return {
    id: judgeId(detector, colors, rules),
    flops: detector.flops,
    async judge(samples) {
      const judged: ImageVerdict[] = [];
      for (let from = 0; from < samples.length; from += batch) {
        const chunk = samples.slice(from, from + batch);
        const found = await detector.detect(chunk.map(({ image }) => image));
        for (const [index, { image, item }] of chunk.entries()) {
          judged.push(await judgeOne(image, item, found[index]!));
        }
      }
      return judged;
    },
    async [Symbol.asyncDispose]() {
      await detector[Symbol.asyncDispose]();
      await colors[Symbol.asyncDispose]();
    },
  };
}

/** `name@sha8`, and whatever differs from the official judge. */
export function judgeId(detector: Detector, colors: ColorClassifier, rules: RuleOptions): string {
  const [name, hash = ""] = detector.modelId.split("@");
  const notes = [`${name}@${hash.slice(0, 8)}`];
  if (colors.id !== null) notes.push(`colors=${colors.id}`);
  for (const key of Object.keys(officialOptions) as (keyof RuleOptions)[]) {
    if (rules[key] !== officialOptions[key]) notes.push(`${key}=${rules[key]}`);
  }
  return notes.join(", ");
}

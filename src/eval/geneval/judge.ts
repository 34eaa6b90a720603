import type { RgbImage } from "../../core/image.ts";
import type { ColorClassifier, DetectedObject, Detector } from "./judge-ports.ts";
import {
  type DetectionRow,
  type DetectionsByClass,
  decide,
  type GenevalMetadata,
  keepObjects,
  objectsToColor,
  officialOptions,
  type RuleOptions,
  type Verdict,
} from "./rules.ts";

export interface JudgedImage {
  readonly verdict: Verdict;
  /** Objects that counted, by class, as the official results file lists them. */
  readonly details: DetectionsByClass;
}

/** A detector, a colour classifier and GenEval's rules. */
export interface Judge extends AsyncDisposable {
  /** `name@sha8`, and whatever differs from the official judge's settings, for labels and result rows. */
  readonly id: string;
  /** FLOPs per image, colours left out. */
  readonly flops: number;
  judge(
    items: readonly { readonly image: RgbImage; readonly metadata: GenevalMetadata }[],
  ): Promise<JudgedImage[]>;
}

export interface JudgeOptions {
  readonly detector: Detector;
  readonly colors: ColorClassifier;
  readonly rules?: RuleOptions;
  /** Images per call of the detector. */
  readonly batch?: number;
}

export function createJudge({ detector, colors, rules = officialOptions, batch = 16 }: JudgeOptions): Judge {
  async function judgeOne(
    image: RgbImage,
    metadata: GenevalMetadata,
    found: readonly DetectedObject[],
  ): Promise<JudgedImage> {
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
    return { verdict: decide(metadata, kept, named, rules), details };
  }

  return {
    id: judgeId(detector, colors, rules),
    flops: detector.flops,
    async judge(items) {
      const judged: JudgedImage[] = [];
      for (let from = 0; from < items.length; from += batch) {
        const chunk = items.slice(from, from + batch);
        const found = await detector.detect(chunk.map(({ image }) => image));
        for (const [index, { image, metadata }] of chunk.entries()) {
          judged.push(await judgeOne(image, metadata, found[index]!));
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

function judgeId(detector: Detector, colors: ColorClassifier, rules: RuleOptions): string {
  const [name, hash = ""] = detector.modelId.split("@");
  const notes = [`${name}@${hash.slice(0, 8)}`];
  if (colors.id !== null) notes.push(`colors=${colors.id}`);
  for (const key of Object.keys(officialOptions) as (keyof RuleOptions)[]) {
    if (rules[key] !== officialOptions[key]) notes.push(`${key}=${rules[key]}`);
  }
  return notes.join(", ");
}

import type { Atom, Judge } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import { relationsOf } from "../geneval/geometry.ts";
import { judgeId } from "../geneval/judge.ts";
import type { ColorClassifier, DetectedObject, Detector } from "../geneval/judge-ports.ts";
import { keepObjects, officialOptions, type RuleOptions } from "../geneval/rules.ts";
import type { HomeItem } from "./home-geneval-2.ts";
import { verdictOf } from "./verdict.ts";

/**
 * Detectors answer home-GenEval-2's questions by GenEval's rules: presence and what builds on it by objects above the usual
 * threshold, numbers exactly and above the threshold of counting, colours and places of the best objects. Every question is
 * answered by itself, as a language model answers it; `p` is 0 or 1.
 */
export function homeJudge(
  detector: Detector,
  colors: ColorClassifier,
  rules: RuleOptions = officialOptions,
): Judge<HomeItem> {
  return {
    id: judgeId(detector, colors, rules),
    flops: detector.flops,
    async judge(samples) {
      const verdicts = [];
      const found = await detector.detect(samples.map(({ image }) => image));
      for (const [at, { image, item }] of samples.entries()) {
        const atoms = await answer(item, image, found[at]!);
        const seen = found[at]!.map(({ label, score }) => [label, Number(score.toFixed(4))]);
        verdicts.push(verdictOf(atoms, seen));
      }
      return verdicts;
    },
    async [Symbol.asyncDispose]() {
      await detector[Symbol.asyncDispose]();
      await colors[Symbol.asyncDispose]();
    },
  };

  async function answer(item: HomeItem, image: RgbImage, found: readonly DetectedObject[]): Promise<Atom[]> {
    const [usual, sure] = ["other", "counting"].map((tag) => kept(found, tag, rules));
    // Scenes name the positioned object first, clauses the reference.
    const related = item.include.some(({ position }) => position !== undefined);
    const clauses = related ? item.include.toReversed() : item.include;
    const answers: { readonly skill: string; readonly holds: boolean }[] = [];
    for (const { class: name, count, color } of clauses) {
      const objects = (usual!.get(name) ?? []).slice(0, count);
      answers.push({ skill: "count", holds: (sure!.get(name)?.length ?? 0) === count });
      if (color !== undefined) {
        const named = await colors.classify(image, objects, name);
        const holds = objects.length === count && named.every((each) => each === color);
        answers.push({ skill: "attribute", holds });
      }
      answers.push({ skill: "object", holds: objects.length > 0 });
    }
    if (related) {
      const [object, reference] = clauses.map(({ class: name }) => usual!.get(name)?.[0]);
      const wanted = clauses[0]!.position?.[0];
      const holds =
        object !== undefined &&
        reference !== undefined &&
        relationsOf(object.box, reference.box, rules.positionThreshold).some((each) => each === wanted);
      answers.push({ skill: "position", holds });
    }
    expectSameQuestions(
      item,
      answers.map(({ skill }) => skill),
    );
    return item.questions.map((question, at) => ({ ...question, p: Number(answers[at]!.holds) }));
  }
}

/** Objects by class, best first, as the rules keep them under a tag. */
function kept(
  found: readonly DetectedObject[],
  tag: string,
  rules: RuleOptions,
): Map<string, DetectedObject[]> {
  const byClass = new Map<string, DetectedObject[]>();
  for (const object of found) byClass.set(object.label, [...(byClass.get(object.label) ?? []), object]);
  const rows = Object.fromEntries(
    [...byClass].map(([name, objects]) => [
      name,
      objects.map(({ box, score }) => [...box, score] as [number, number, number, number, number]),
    ]),
  );
  return new Map(
    Object.entries(keepObjects(rows, tag, rules)).map(([name, objects]) => [
      name,
      objects.map(({ index }) => byClass.get(name)![index]!),
    ]),
  );
}

/** Questions of another file could be about other things, or in another order. @throws EVAL_DATA */
function expectSameQuestions({ prompt, questions }: HomeItem, skills: readonly string[]): void {
  if (skills.join() === questions.map(({ skill }) => skill).join()) return;
  throw new TtsVarError(
    "EVAL_DATA",
    `"${prompt}": its questions are not those of its scene; detectors answer generated items only`,
  );
}

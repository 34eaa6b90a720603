import type { Atom } from "../../src/core/benchmark.ts";
import { atomsOf } from "../../src/eval/geneval/atoms.ts";
import { type Box, relationsOf } from "../../src/eval/geneval/geometry.ts";
import {
  type DetectionRow,
  decide,
  type GenevalMetadata,
  type IncludeClause,
  type KeptObject,
  keepObjects,
  officialOptions,
  type RuleOptions,
} from "../../src/eval/geneval/rules.ts";
import { colorNames } from "../../src/eval/geneval/vocabulary.ts";

/** A detection with the probabilities of the ten colours, in the order of `colorNames`. */
export interface ColoredDetection {
  readonly label: string;
  readonly score: number;
  readonly box: Box;
  readonly colors: ArrayLike<number>;
}

export interface DenseVerdict {
  /** In [0, 1]; 1 exactly when GenEval's rule passes. */
  readonly score: number;
  readonly correct: boolean;
  /** GenEval's own explanation of a failure. */
  readonly reason: string;
  /** What the score is made of: 1 for each satisfied condition, at most 1/2 for an unsatisfied one. */
  readonly conditions: readonly Condition[];
  /** GenEval's verdict as questions, each right or wrong. */
  readonly atoms: readonly Atom[];
}

export interface Condition {
  readonly what: string;
  readonly value: number;
}

/** Most that an unsatisfied condition can earn; a satisfied one earns 1. */
const partialCredit = 0.5;

/**
 * Graded form of GenEval's rule over its elementary conditions (each wanted object, each object's colour, each relation,
 * each limit): the share of those that are satisfied. How near the detector is to the others adds less than one more
 * condition would, all of them together; that gives a search something to climb, and an image which satisfies more
 * conditions always scores higher. Nothing is ever negative.
 */
export function denseScore(
  metadata: GenevalMetadata,
  detections: readonly ColoredDetection[],
  options: RuleOptions = officialOptions,
): DenseVerdict {
  const byClass = groupByLabel(detections);
  const rows = Object.fromEntries(
    [...byClass].map(([label, list]) => [label, list.map((d): DetectionRow => [...d.box, d.score])]),
  );
  const kept = keepObjects(rows, metadata.tag, options);
  const colorsOf = (label: string, object: KeptObject) => byClass.get(label)![object.index]!.colors;
  const colors = Object.fromEntries(
    Object.entries(kept).map(([label, objects]) => [
      label,
      objects.map((o) => bestColor(colorsOf(label, o))),
    ]),
  );
  const verdict = decide(metadata, kept, colors, options);

  const threshold = metadata.tag === "counting" ? options.countingThreshold : options.threshold;
  const include = metadata.include ?? [];
  const topOf = (clause: IncludeClause) => (kept[clause.class] ?? []).slice(0, clause.count);
  const conditions: Condition[] = [];
  for (const clause of include) {
    const { class: label, count, color, position } = clause;
    const objects = topOf(clause);
    const scores = (byClass.get(label) ?? []).map((d) => d.score).sort((a, b) => b - a);
    for (let i = 0; i < count; i++) {
      const near = Math.min((scores[i] ?? 0) / threshold, 1);
      conditions.push({ what: `${label} ${i + 1}`, value: i < objects.length ? 1 : partialCredit * near });
    }
    if (color !== undefined) {
      for (let i = 0; i < count; i++) {
        conditions.push({ what: `${color} ${label} ${i + 1}`, value: colorValue(objects[i], label, color) });
      }
    }
    if (position !== undefined) {
      const [relation, target] = position;
      const reference = include[target]!;
      const value =
        objects.length < count || topOf(reference).length < reference.count
          ? 0
          : relationValue(objects, topOf(reference), relation, options);
      conditions.push({ what: `${label} ${relation} ${reference.class}`, value });
    }
  }
  for (const { class: label, count: limit } of metadata.exclude ?? []) {
    const surplus = kept[label]?.[limit - 1];
    const value = surplus ? (partialCredit * (1 - surplus.score)) / (1 - threshold) : 1;
    conditions.push({ what: `fewer than ${limit} ${label}`, value });
  }
  const { correct, reason, clauses } = verdict;
  const atoms = atomsOf(metadata, clauses);
  return { score: correct ? 1 : shareOf(conditions), correct, reason, conditions, atoms };

  function colorValue(object: KeptObject | undefined, label: string, wanted: string): number {
    if (!object) return 0;
    const probabilities = colorsOf(label, object);
    if (bestColor(probabilities) === wanted) return 1;
    return partialCredit * (probabilities[colorNames.indexOf(wanted)] ?? 0);
  }
}

/** Satisfied conditions count 1 each, the unsatisfied ones together their mean, which is at most 1/2. */
function shareOf(conditions: readonly Condition[]): number {
  const missed = conditions.filter(({ value }) => value < 1);
  const nearness = missed.reduce((sum, { value }) => sum + value, 0) / Math.max(missed.length, 1);
  return (conditions.length - missed.length + nearness) / conditions.length;
}

function groupByLabel(detections: readonly ColoredDetection[]): Map<string, ColoredDetection[]> {
  const groups = new Map<string, ColoredDetection[]>();
  for (const detection of detections) {
    const group = groups.get(detection.label);
    if (group) group.push(detection);
    else groups.set(detection.label, [detection]);
  }
  return groups;
}

function bestColor(probabilities: ArrayLike<number>): string {
  let best = 0;
  for (let i = 1; i < colorNames.length; i++) if (probabilities[i]! > probabilities[best]!) best = i;
  return colorNames[best]!;
}

/** 1 when every pair is in the relation; otherwise by how far the pairs' offsets point that way. */
function relationValue(
  objects: readonly KeptObject[],
  references: readonly KeptObject[],
  relation: string,
  options: RuleOptions,
): number {
  let held = 0;
  let nearness = 0;
  for (const { box } of objects) {
    for (const { box: other } of references) {
      const holds = relationsOf(box, other, options.positionThreshold).some((found) => found === relation);
      if (holds) held++;
      nearness += holds ? 1 : Math.max(along(box, other, relation), 0);
    }
  }
  const pairs = objects.length * references.length;
  return held === pairs ? 1 : (partialCredit * nearness) / pairs;
}

/** Share of the centres' offset that points in the direction of the relation, -1 to 1. */
function along(a: Box, b: Box, relation: string): number {
  const dx = (a[0] + a[2] - b[0] - b[2]) / 2;
  const dy = (a[1] + a[3] - b[1] - b[3]) / 2;
  const length = Math.hypot(dx, dy);
  if (length === 0) return 0;
  const component = { "left of": -dx, "right of": dx, above: -dy, below: dy }[relation] ?? 0;
  return component / length;
}

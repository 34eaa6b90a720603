import { TtsVarError } from "../../core/errors.ts";
import { type Box, inclusiveIou, relationsOf } from "./geometry.ts";
import { colorNames } from "./vocabulary.ts";

/** Objects that must be there. `position` is a relation to the objects matched by an earlier clause. */
export interface IncludeClause {
  readonly class: string;
  readonly count: number;
  readonly color?: string;
  readonly position?: readonly [relation: string, clause: number];
}

/** Too many objects: the image fails with `count` of them or more. */
export interface ExcludeClause {
  readonly class: string;
  readonly count: number;
}

/** One line of GenEval's `evaluation_metadata.jsonl`. */
export interface GenevalMetadata {
  readonly tag: string;
  readonly include?: readonly IncludeClause[];
  readonly exclude?: readonly ExcludeClause[];
  readonly prompt: string;
}

/** A detected object as recorded by GenEval: corners in pixels and the detector's score. */
export type DetectionRow = readonly [x0: number, y0: number, x1: number, y1: number, score: number];

/** Detections by class name, in any order. */
export type DetectionsByClass = Readonly<Record<string, readonly DetectionRow[]>>;

/** GenEval's options under their official names, in camel case. */
export interface RuleOptions {
  /** Scores must be strictly greater. */
  readonly threshold: number;
  /** The same for the tag "counting". */
  readonly countingThreshold: number;
  /** Objects kept per class. */
  readonly maxObjects: number;
  /** Boxes overlapping a kept one by this IoU or more are dropped; 1 turns the suppression off. */
  readonly maxOverlap: number;
  readonly positionThreshold: number;
}

export const officialOptions: RuleOptions = {
  threshold: 0.3,
  countingThreshold: 0.9,
  maxObjects: 16,
  maxOverlap: 1,
  positionThreshold: 0.1,
};

/** An object that counts. `index` is its place in the class's detections as given. */
export interface KeptObject {
  readonly box: Box;
  readonly score: number;
  readonly index: number;
}

/** Objects that count, by class, by falling score. */
export type KeptObjects = Readonly<Record<string, readonly KeptObject[]>>;

/** What a clause wanted and what was there; enough to derive a graded score. */
export type ClauseOutcome =
  | {
      readonly kind: "include";
      readonly class: string;
      readonly wanted: number;
      /** All kept objects of the class; may be more than wanted. */
      readonly found: number;
      /** Of the `wanted` best objects, those of the wanted colour; null if no colour is wanted. */
      readonly colored: number | null;
      /** Pairs of (object, reference) and those in the wanted relation; null if none is wanted or the clause failed before. */
      readonly related: { readonly held: number; readonly pairs: number } | null;
      readonly matched: boolean;
    }
  | {
      readonly kind: "exclude";
      readonly class: string;
      /** The clause fails from this number on. */
      readonly limit: number;
      readonly found: number;
      readonly matched: boolean;
    };

export interface Verdict {
  readonly correct: boolean;
  /** GenEval's explanation, one line per failed clause; empty if correct. */
  readonly reason: string;
  readonly clauses: readonly ClauseOutcome[];
}

/** The objects that count for a prompt of this tag: above the threshold, at most 16 per class, best first. */
export function keepObjects(
  detections: DetectionsByClass,
  tag: string,
  options: RuleOptions = officialOptions,
): KeptObjects {
  const threshold = tag === "counting" ? options.countingThreshold : options.threshold;
  // Without a prototype: a class may be called "constructor".
  const kept: Record<string, KeptObject[]> = Object.create(null);
  for (const [name, rows] of Object.entries(detections)) {
    const best = rows
      .map(([x0, y0, x1, y1, score], index): KeptObject => ({ box: [x0, y0, x1, y1], score, index }))
      .filter((object) => object.score > threshold)
      // Equal scores: the later detection first, as reversing an ascending stable sort gives it.
      .sort((a, b) => b.score - a.score || b.index - a.index)
      .slice(0, options.maxObjects);
    const apart = options.maxOverlap === 1 ? best : suppressOverlaps(best, options.maxOverlap);
    if (apart.length > 0) kept[name] = apart;
  }
  return kept;
}

function suppressOverlaps(best: readonly KeptObject[], maxOverlap: number): KeptObject[] {
  const apart: KeptObject[] = [];
  for (const object of best) {
    if (apart.every((other) => inclusiveIou(other.box, object.box) < maxOverlap)) apart.push(object);
  }
  return apart;
}

/** The kept objects whose colour the rules look at: the best `count` of every clause with a colour that has enough. */
export function objectsToColor(metadata: GenevalMetadata, kept: KeptObjects): Map<string, KeptObject[]> {
  const queries = new Map<string, KeptObject[]>();
  for (const clause of metadata.include ?? []) {
    const objects = (kept[clause.class] ?? []).slice(0, clause.count);
    if (clause.color === undefined || objects.length < clause.count) continue;
    if ((queries.get(clause.class)?.length ?? 0) < objects.length) queries.set(clause.class, objects);
  }
  return queries;
}

/**
 * GenEval's verdict. `include` clauses are joined by AND in order, `exclude` by OR; colour and position look only at the
 * best `count` objects of a clause, and every (object, reference) pair must be in the wanted relation.
 *
 * @param colors names of the kept objects' colours by class, same order; at least as far as `objectsToColor` says
 * @throws EVAL_DATA when a needed colour is missing or a position refers to no earlier clause
 */
export function decide(
  metadata: GenevalMetadata,
  kept: KeptObjects,
  colors: Readonly<Record<string, readonly string[]>>,
  options: RuleOptions = officialOptions,
): Verdict {
  const reasons: string[] = [];
  const clauses: ClauseOutcome[] = [];
  const matchedGroups: (readonly KeptObject[] | null)[] = [];

  for (const clause of metadata.include ?? []) {
    const { count, color: wantedColor, position } = clause;
    const all = kept[clause.class] ?? [];
    const objects = all.slice(0, count);
    const enough = objects.length >= count;
    let matched = enough;
    if (!enough) reasons.push(`expected ${clause.class}>=${count}, found ${objects.length}`);

    const named = (colors[clause.class] ?? []).slice(0, objects.length);
    let colored: number | null = null;
    if (wantedColor !== undefined) {
      colored = named.filter((name) => name === wantedColor).length;
      if (enough) {
        if (named.length < count) throw missingColors(metadata, clause.class, count, named.length);
        if (colored < count) {
          matched = false;
          reasons.push(colorReason(clause.class, wantedColor, count, colored, named));
        }
      }
    }

    let related: { held: number; pairs: number } | null = null;
    if (position !== undefined && matched) {
      const [wanted, target] = position;
      const references = matchedGroups[target];
      if (references === undefined) throw badReference(metadata, target);
      if (references === null) {
        matched = false;
        reasons.push(`no target for ${clause.class} to be ${wanted}`);
      } else {
        const pairs = objects.flatMap((object) =>
          references.map((reference) => relationsOf(object.box, reference.box, options.positionThreshold)),
        );
        const wrong = pairs.find((found) => !found.some((relation) => relation === wanted));
        related = {
          held: pairs.filter((found) => found.some((r) => r === wanted)).length,
          pairs: pairs.length,
        };
        if (wrong) {
          matched = false;
          reasons.push(`expected ${clause.class} ${wanted} target, found ${wrong.join(" and ")} target`);
        }
      }
    }
    matchedGroups.push(matched ? objects : null);
    clauses.push({
      kind: "include",
      class: clause.class,
      wanted: count,
      found: all.length,
      colored,
      related,
      matched,
    });
  }

  for (const { class: name, count: limit } of metadata.exclude ?? []) {
    const found = kept[name]?.length ?? 0;
    if (found >= limit) reasons.push(`expected ${name}<${limit}, found ${found}`);
    clauses.push({ kind: "exclude", class: name, limit, found, matched: found < limit });
  }
  return { correct: reasons.length === 0, reason: reasons.join("\n"), clauses };
}

/** `keepObjects` and `decide` in one: the verdict on recorded detections and colours. */
export function judgeDetections(
  metadata: GenevalMetadata,
  detections: DetectionsByClass,
  colors: Readonly<Record<string, readonly string[]>>,
  options: RuleOptions = officialOptions,
): Verdict {
  return decide(metadata, keepObjects(detections, metadata.tag, options), colors, options);
}

function colorReason(
  name: string,
  wanted: string,
  count: number,
  right: number,
  found: readonly string[],
): string {
  const others = colorNames
    .filter((color) => found.includes(color))
    .map((color) => `${found.filter((other) => other === color).length} ${color}`);
  return `expected ${wanted} ${name}>=${count}, found ${right} ${wanted}; and ${others.join(", ")}`;
}

function missingColors(metadata: GenevalMetadata, name: string, wanted: number, given: number): TtsVarError {
  return new TtsVarError(
    "EVAL_DATA",
    `"${metadata.prompt}" needs the colours of the ${wanted} best kept "${name}" objects, but ${given} are given`,
  );
}

function badReference(metadata: GenevalMetadata, target: number): TtsVarError {
  return new TtsVarError(
    "EVAL_DATA",
    `"${metadata.prompt}": a position refers to clause ${target}, which is not before it`,
  );
}

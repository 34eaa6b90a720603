import { createRng, type RngStream } from "../../core/rng.ts";
import type { GenevalMetadata } from "./rules.ts";
import {
  classNames,
  colorNames,
  genevalPlural,
  numberWords,
  officialCounts,
  relations,
  type Tag,
  tags,
  withArticle,
} from "./vocabulary.ts";

export interface PromptRequest {
  readonly seed: number | string;
  /** Prompts by task; default: the official counts. */
  readonly counts?: Readonly<Record<Tag, number>>;
  /** Scenes that must not occur again, for tuning and test sets that share nothing. */
  readonly disjointFrom?: readonly GenevalMetadata[];
}

export interface PromptSet {
  readonly prompts: readonly GenevalMetadata[];
  /** Tasks whose grammar has fewer unused scenes than were asked for. */
  readonly short: readonly { readonly tag: Tag; readonly wanted: number; readonly got: number }[];
}

/**
 * Prompts of GenEval's grammar: official metadata rows, tasks in the official order, no scene twice. Each task has its
 * own random stream, so a task's prompts do not depend on how many another one has, and a smaller set is a prefix.
 */
export function generatePrompts(request: PromptRequest): PromptSet {
  const counts = request.counts ?? officialCounts;
  const used = new Set((request.disjointFrom ?? []).map(sceneKey));
  const rng = createRng(request.seed, "geneval-prompts");
  const prompts: GenevalMetadata[] = [];
  const short: { tag: Tag; wanted: number; got: number }[] = [];
  for (const tag of tags) {
    const draw = new Draws(rng.stream("stats", tag, 0));
    const before = prompts.length;
    let misses = 0;
    // A scene that is still free is missed this often in a row with probability e^-40.
    const patience = 40 * sceneCounts[tag];
    while (prompts.length - before < counts[tag] && misses < patience) {
      const prompt = grammar[tag](draw);
      const key = sceneKey(prompt);
      if (used.has(key)) {
        misses++;
        continue;
      }
      misses = 0;
      used.add(key);
      prompts.push(prompt);
    }
    const got = prompts.length - before;
    if (got < counts[tag]) short.push({ tag, wanted: counts[tag], got });
  }
  return { prompts, short };
}

/**
 * Splits a total over the six tasks in the official proportions (largest remainder). A task never gets more prompts than
 * its grammar has scenes (80 single objects, 240 counts, ...); what it cannot take goes to the others.
 */
export function distributeCounts(total: number): Record<Tag, number> {
  const fixed: Partial<Record<Tag, number>> = {};
  for (;;) {
    const open = tags.filter((tag) => fixed[tag] === undefined);
    const taken = Object.values(fixed).reduce((sum, count) => sum + count, 0);
    const shares = proportional(total - taken, open);
    const over = open.filter((tag) => shares[tag]! > sceneCounts[tag]);
    if (over.length === 0 || over.length === open.length)
      return { ...shares, ...fixed } as Record<Tag, number>;
    for (const tag of over) fixed[tag] = sceneCounts[tag];
  }
}

function proportional(total: number, among: readonly Tag[]): Partial<Record<Tag, number>> {
  const whole = among.reduce((sum, tag) => sum + officialCounts[tag], 0);
  const shares = among.map((tag) => ({ tag, exact: (total * officialCounts[tag]) / whole }));
  const result: Partial<Record<Tag, number>> = {};
  for (const { tag, exact } of shares) result[tag] = Math.floor(exact);
  let left = total - Object.values(result).reduce((sum, count) => sum + count, 0);
  for (const { tag } of shares.toSorted((a, b) => (b.exact % 1) - (a.exact % 1))) {
    if (left-- > 0) result[tag] = result[tag]! + 1;
  }
  return result;
}

/** Prompts whose scene occurs among the others too, whatever the order of the words. */
export function sharedScenes(
  prompts: readonly GenevalMetadata[],
  others: readonly GenevalMetadata[],
): GenevalMetadata[] {
  const known = new Set(others.map(sceneKey));
  return prompts.filter((prompt) => known.has(sceneKey(prompt)));
}

/** What a scene shows, whatever the order of its words: "a cat and a dog" is "a dog and a cat". */
function sceneKey(metadata: GenevalMetadata): string {
  const include = metadata.include ?? [];
  const parts = include.map(({ class: name, count, color, position }) =>
    [name, count, color ?? "", position?.[0] ?? ""].join("|"),
  );
  const ordered = include.some((clause) => clause.position) ? parts : parts.toSorted();
  const exact = (metadata.exclude?.length ?? 0) > 0 ? "exact" : "";
  return [exact, ...ordered].join(";");
}

/** Consecutive uniform draws of one stream. */
class Draws {
  readonly #stream: RngStream;
  #position = 0;

  constructor(stream: RngStream) {
    this.#stream = stream;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#stream.uniform(this.#position++) * items.length)]!;
  }

  pickTwo<T>(items: readonly T[]): [T, T] {
    const first = this.pick(items);
    return [first, this.pick(items.filter((item) => item !== first))];
  }
}

const maxCount = 4;
// GenEval asks for no coloured persons.
const colorable = classNames.filter((name) => name !== "person");

const n = classNames.length;
const sceneCounts: Readonly<Record<Tag, number>> = {
  single_object: n,
  two_object: (n * (n - 1)) / 2,
  counting: n * (maxCount - 1),
  colors: (n - 1) * colorNames.length,
  position: n * (n - 1) * relations.length,
  color_attr: (((n - 1) * (n - 2)) / 2) * colorNames.length * (colorNames.length - 1),
};

const grammar: Readonly<Record<Tag, (draw: Draws) => GenevalMetadata>> = {
  single_object(draw) {
    const name = draw.pick(classNames);
    return {
      tag: "single_object",
      include: [{ class: name, count: 1 }],
      prompt: `a photo of ${withArticle(name)}`,
    };
  },
  two_object(draw) {
    const [a, b] = draw.pickTwo(classNames);
    return {
      tag: "two_object",
      include: [
        { class: a, count: 1 },
        { class: b, count: 1 },
      ],
      prompt: `a photo of ${withArticle(a)} and ${withArticle(b)}`,
    };
  },
  counting(draw) {
    const name = draw.pick(classNames);
    const count = draw.pick([2, 3, maxCount]);
    return {
      tag: "counting",
      include: [{ class: name, count }],
      exclude: [{ class: name, count: count + 1 }],
      prompt: `a photo of ${numberWords[count]} ${genevalPlural(name)}`,
    };
  },
  colors(draw) {
    const name = draw.pick(colorable);
    const color = draw.pick(colorNames);
    return {
      tag: "colors",
      include: [{ class: name, count: 1, color }],
      prompt: `a photo of ${withArticle(color)} ${name}`,
    };
  },
  position(draw) {
    const [placed, reference] = draw.pickTwo(classNames);
    const relation = draw.pick(relations);
    return {
      tag: "position",
      include: [
        { class: reference, count: 1 },
        { class: placed, count: 1, position: [relation, 0] },
      ],
      prompt: `a photo of ${withArticle(placed)} ${relation} ${withArticle(reference)}`,
    };
  },
  color_attr(draw) {
    const [a, b] = draw.pickTwo(colorable);
    const [colorA, colorB] = draw.pickTwo(colorNames);
    return {
      tag: "color_attr",
      include: [
        { class: a, count: 1, color: colorA },
        { class: b, count: 1, color: colorB },
      ],
      prompt: `a photo of ${withArticle(colorA)} ${a} and ${withArticle(colorB)} ${b}`,
    };
  },
};

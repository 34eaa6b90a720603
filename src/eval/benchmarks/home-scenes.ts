import type { Question } from "../../core/benchmark.ts";
import type { RngStream } from "../../core/rng.ts";
import type { IncludeClause } from "../geneval/rules.ts";
import { classNames, colorNames, numberWords, type Relation, relations } from "../geneval/vocabulary.ts";

/** An object of a scene, as a prompt names it. */
export interface SceneObject {
  readonly class: string;
  readonly count: number;
  readonly color: string | null;
}

export interface Scene {
  readonly objects: readonly SceneObject[];
  /** Of the first object to the second. */
  readonly relation: Relation | null;
}

/** Kinds of scenes with three to five atoms, within what the embedded generator draws: four things at most. */
export const shapes = ["count-color", "relation", "two-colors", "relation-color", "relation-colors"] as const;
export type SceneShape = (typeof shapes)[number];

/** A scene of the given shape, by draws alone. */
export function drawScene(shape: SceneShape, draw: (limit: number) => number): Scene {
  const pick = <T>(list: readonly T[]): T => list[draw(list.length)]!;
  const first = pick(classNames);
  if (shape === "count-color") {
    return { objects: [{ class: first, count: 2 + draw(3), color: pick(colorNames) }], relation: null };
  }
  const second = pick(classNames.filter((name) => name !== first));
  const colored = { relation: [false, false], "relation-color": [true, false] }[shape as string] ?? [
    true,
    true,
  ];
  const one = pick(colorNames);
  const other = pick(colorNames.filter((name) => name !== one));
  const relation = shape === "two-colors" ? null : pick(relations);
  return {
    objects: [
      { class: first, count: 1, color: colored[0] ? one : null },
      { class: second, count: 1, color: colored[1] ? other : null },
    ],
    relation,
  };
}

/** Whole numbers below a limit from a stream of uniform ones. */
export function drawsFrom(stream: RngStream): (limit: number) => number {
  const block = new Float64Array(16);
  let at = block.length;
  return (limit) => {
    if (at === block.length) {
      stream.fill(block);
      at = 0;
    }
    return Math.floor(block[at++]! * limit);
  };
}

/** "a photo of a red dog left of a cat", in GenEval's grammar. */
export function promptOf({ objects, relation }: Scene): string {
  const phrases = objects.map(({ class: name, count, color }) => {
    const words = [color, count === 1 ? name : plural(name)].filter((word) => word !== null).join(" ");
    if (count > 1) return `${numberWords[count]} ${words}`;
    return `${/^[aeiou]/.test(words) ? "an" : "a"} ${words}`;
  });
  return `a photo of ${phrases.join(relation === null ? " and " : ` ${relation} `)}`;
}

/** GenEval 2's questions about a scene: number, colour, presence of each object, then how they stand. */
export function questionsOf({ objects, relation }: Scene): Question[] {
  const questions: Question[] = [];
  const ask = (question: string, expected: string, skill: string): void => {
    questions.push({ question, expected, skill, parent: [] });
  };
  for (const { class: name, count, color } of objects) {
    const many = count > 1;
    ask(`How many ${plural(name)} are in the image?`, numberWords[count]!, "count");
    if (color !== null)
      ask(`${many ? `Are the ${plural(name)}` : `Is the ${name}`} ${color}?`, "Yes", "attribute");
    ask(`Are there any ${plural(name)} in the image?`, "Yes", "object");
  }
  if (relation !== null) {
    ask(`Is the ${objects[0]!.class} ${relation} the ${objects[1]!.class}?`, "Yes", "position");
  }
  return questions;
}

/** Atoms of a prompt as GenEval 2 counts them: "a" is asked about, but is no atom. */
export function atomCount({ objects, relation }: Scene): number {
  const own = objects.map(({ count, color }) => 1 + Number(count > 1) + Number(color !== null));
  return own.reduce((sum, each) => sum + each, 0) + Number(relation !== null);
}

/** The scene as GenEval's clauses, the reference first, so that rewards and rules can read it. */
export function clausesOf({ objects, relation }: Scene): IncludeClause[] {
  const clauses = objects.map(({ class: name, count, color }) => ({
    ...{ class: name, count },
    ...(color === null ? {} : { color }),
  }));
  if (relation === null) return clauses;
  const [object, reference] = clauses;
  return [reference!, { ...object!, position: [relation, 0] as const }];
}

function plural(name: string): string {
  const irregular: Readonly<Record<string, string>> = {
    ...{ person: "people", sheep: "sheep", knife: "knives", skis: "skis", scissors: "scissors" },
    ...{ "computer mouse": "computer mice", broccoli: "broccoli" },
  };
  return irregular[name] ?? (/(?:s|x|ch|sh)$/.test(name) ? `${name}es` : `${name}s`);
}

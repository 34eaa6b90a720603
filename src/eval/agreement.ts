import { likely } from "../core/atoms.ts";
import { itemKey } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import type { ResultRow } from "./results.ts";

/** How two judges' yes and no fall together. */
export interface Agreement {
  /** What is counted: "all", a tag, or a skill. */
  readonly name: string;
  readonly count: number;
  readonly both: number;
  readonly onlyA: number;
  readonly onlyB: number;
  readonly neither: number;
  /** Share on which they agree. */
  readonly agree: number;
  /** Cohen's kappa: agreement beyond that of two judges with these shares of yes by chance; null where chance is certain. */
  readonly kappa: number | null;
}

export interface JudgesCompared {
  readonly a: string;
  readonly b: string;
  /** Verdicts on whole images, all together and by tag. */
  readonly images: readonly Agreement[];
  /** Answers to single questions by skill, where both list them. */
  readonly questions: readonly Agreement[];
  /** Images on which they differ, with both reasons. */
  readonly differing: readonly {
    readonly filename: string;
    readonly prompt: string;
    readonly a: string;
    readonly b: string;
  }[];
  /** Images that only one has judged. */
  readonly unpaired: number;
}

/**
 * Two judges' verdicts on the same images, side by side. They are never averaged: a detector and a language model err in
 * different ways, and the mean of two errors is no measurement.
 *
 * @throws EVAL_DATA when the same judge made both, or the images differ
 */
export function compareJudges(rowsA: readonly ResultRow[], rowsB: readonly ResultRow[]): JudgesCompared {
  const [a, b] = [judgeOf(rowsA), judgeOf(rowsB)];
  if (a === b) {
    throw new TtsVarError(
      "EVAL_DATA",
      `both results are ${a}'s; to compare two runs by one judge use compare`,
    );
  }
  const byFile = new Map(rowsB.map((row) => [row.filename, row]));
  const pairs = rowsA.flatMap((row): [ResultRow, ResultRow][] => {
    const other = byFile.get(row.filename);
    return other ? [[row, other]] : [];
  });
  const moved = pairs.find(
    ([left, right]) =>
      itemKey(left.metadata) !== itemKey(right.metadata) ||
      (left.sha256 !== undefined && right.sha256 !== undefined && left.sha256 !== right.sha256),
  );
  if (moved || pairs.length === 0) {
    throw new TtsVarError(
      "EVAL_DATA",
      moved
        ? `${moved[0].filename} is not the same image in both results; judge one folder twice`
        : "the two results have no image in common; judge one folder twice",
    );
  }
  const tags = [...new Set(pairs.map(([row]) => row.tag))];
  const verdicts = (list: typeof pairs) =>
    list.map(([left, right]) => [left.correct, right.correct] as const);
  const answers = pairs.flatMap(([left, right]) => answersOf(left, right));
  const skills = [...new Set(answers.map(({ skill }) => skill))];
  return {
    ...{ a, b },
    images: [
      agreementOf("all", verdicts(pairs)),
      ...tags.map((tag) => agreementOf(tag, verdicts(pairs.filter(([row]) => row.tag === tag)))),
    ],
    questions: skills.map((skill) =>
      agreementOf(
        skill,
        answers.filter((each) => each.skill === skill).map(({ verdict }) => verdict),
      ),
    ),
    differing: pairs
      .filter(([left, right]) => left.correct !== right.correct)
      .map(([left, right]) => ({
        ...{ filename: left.filename, prompt: left.prompt },
        a: left.correct ? "right" : left.reason,
        b: right.correct ? "right" : right.reason,
      })),
    unpaired: rowsA.length + rowsB.length - 2 * pairs.length,
  };
}

function judgeOf(rows: readonly ResultRow[]): string {
  const names = [...new Set(rows.map(({ judge }) => judge ?? "the official judge"))];
  if (names.length === 1) return names[0]!;
  throw new TtsVarError(
    "EVAL_DATA",
    names.length === 0 ? "no judged images" : `the results mix verdicts of ${names.join(" and ")}`,
  );
}

function answersOf(left: ResultRow, right: ResultRow) {
  const others = new Map(right.atoms?.map((atom) => [`${atom.question}\n${atom.expected}`, atom]));
  return (left.atoms ?? []).flatMap(({ question, expected, skill, p }) => {
    const other = others.get(`${question}\n${expected}`);
    return other ? [{ skill, verdict: [likely(p), likely(other.p)] as const }] : [];
  });
}

function agreementOf(name: string, verdicts: readonly (readonly [a: boolean, b: boolean])[]): Agreement {
  const count = verdicts.length;
  const of = (a: boolean, b: boolean): number =>
    verdicts.filter(([left, right]) => left === a && right === b).length;
  const [both, onlyA, onlyB, neither] = [of(true, true), of(true, false), of(false, true), of(false, false)];
  const agree = (both + neither) / count;
  const [yesA, yesB] = [(both + onlyA) / count, (both + onlyB) / count];
  const chance = yesA * yesB + (1 - yesA) * (1 - yesB);
  const kappa = chance === 1 ? null : (agree - chance) / (1 - chance);
  return { name, count, both, onlyA, onlyB, neither, agree, kappa };
}

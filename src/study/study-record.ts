import { TtsVarError } from "../core/errors.ts";
import { type DecidedSums, sumDecided } from "./decided-table.ts";
import { groupBy } from "./group-by.ts";
import { type PreviewSums, sumPreviews } from "./preview-table.ts";
import type { StudyConfig } from "./study-config.ts";
import { ownProposal, type Pair, type StudyCell, type TreeRow } from "./study-plan.ts";

/** Verdicts on all images of one prompt and replicate under the study's own settings. */
export interface JudgedTree extends Pair {
  readonly tag: string;
  readonly correct: readonly boolean[];
}

/** Everything that a study's table is made of: small enough to be kept beside it. */
export interface StudyRecord {
  readonly trees: readonly JudgedTree[];
  readonly cells: readonly StudyCell[];
  readonly previews: readonly PreviewSums[];
  /** Of trees with second ends. */
  readonly decided: readonly DecidedSums[];
  /** Share of a unit that a candidate has cost after each stage; absent in records of before it was kept. */
  readonly spentAfter?: readonly number[] | undefined;
}

/** What the models' work came to. */
export function recordOf(
  allTrees: readonly TreeRow[],
  cells: readonly StudyCell[],
  primaryReward: string,
  spentAfter: readonly number[],
  prices: Readonly<Record<string, number>> = {},
): StudyRecord {
  const trees = allTrees.filter(({ proposal }) => proposal === ownProposal);
  return {
    trees: trees.map(({ prompt, replicate, tag, correct }) => ({ prompt, replicate, tag, correct })),
    // Rounded as they are kept, so that the same table comes out of the file.
    cells: cells.map((cell) => ({ ...cell, score: short(cell.score), spent: short(cell.spent) })),
    previews: sumPreviews(trees, primaryReward).map((row) => {
      const price = row.view === "reward" ? prices[lookKey(row)] : undefined;
      return price === undefined ? row : { ...row, price: short(price) };
    }),
    decided: sumDecided(trees, primaryReward),
    spentAfter: spentAfter.map(short),
  };
}

/** `viewKey` of no reward. */
function lookKey({ scale, size }: Pick<PreviewSums, "scale" | "size">): string {
  return size === "full" ? `@${scale}` : `@${scale}:${size}`;
}

/** The command that made a study, with what. */
export interface ReportFacts {
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
}

interface Header extends ReportFacts {
  readonly schemaVersion: 1;
  readonly config: StudyConfig;
  /** Of each prompt, in order. */
  readonly tags: readonly string[];
  readonly replicates: number;
  readonly spentAfter?: readonly number[] | undefined;
}

/** Answers of an arm at one budget: verdicts as 0 and 1, replicate by replicate within prompts. */
interface ArmLine {
  readonly arm: string;
  readonly units: number;
  readonly mode: StudyCell["mode"];
  readonly correct: string;
  readonly scores: readonly number[];
  readonly spent: readonly number[];
}

/** The record as JSON lines: what it is of, the trees, an arm and budget on each line, a view of previews on each line. */
export function formatRecord(record: StudyRecord, config: StudyConfig, facts: ReportFacts): string {
  const { trees, cells, previews, decided, spentAfter } = record;
  const tags: string[] = [];
  for (const { prompt, tag } of trees) tags[prompt] = tag;
  const replicates = trees.length / tags.length;
  const header: Header = { schemaVersion: 1, ...facts, config, tags, replicates, spentAfter };
  const arms = groupBy(cells, ({ arm, units }) => `${arm}@${units}`);
  const lines = [
    header,
    { trees: trees.map(({ correct }) => bits(correct)) },
    ...[...arms.values()].map(
      (group): ArmLine => ({
        arm: group[0]!.arm,
        units: group[0]!.units,
        mode: group[0]!.mode,
        correct: bits(group.map(({ correct }) => correct)),
        scores: group.map(({ score }) => score),
        spent: group.map(({ spent }) => spent),
      }),
    ),
    ...previews,
    ...decided,
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/**
 * Reads a record back.
 *
 * @throws EVAL_DATA when the lines are not a study's, or do not fit together
 */
export function parseRecord(
  lines: readonly unknown[],
  where: string,
): StudyRecord & { readonly config: unknown; readonly facts: ReportFacts } {
  const [header, forest, ...rest] = lines as [Header?, { trees?: readonly string[] }?, ...unknown[]];
  const refuse = (problem: string): TtsVarError =>
    new TtsVarError("EVAL_DATA", `${where} ${problem}; run the study again`);
  if (header?.schemaVersion !== 1 || !Array.isArray(header.tags) || !Array.isArray(forest?.trees))
    throw refuse("holds no answers of a study (schemaVersion 1, then the trees)");
  const { tags, replicates, command, versions, config, spentAfter } = header;
  const pairs = tags.flatMap((tag, prompt) =>
    Array.from({ length: replicates }, (_, replicate) => ({ prompt, replicate, tag })),
  );
  if (forest.trees.length !== pairs.length)
    throw refuse(`has ${forest.trees.length} of ${pairs.length} trees`);
  const armLines = rest.filter((line): line is ArmLine => Object.hasOwn(line as object, "arm"));
  return {
    config,
    facts: { command, versions },
    trees: pairs.map((pair, index) => ({ ...pair, correct: verdicts(forest.trees![index]!) })),
    cells: armLines.flatMap(({ arm, units, mode, correct, scores, spent }) => {
      if ([correct, scores, spent].some(({ length }) => length !== pairs.length))
        throw refuse(`is cut short at ${arm} with ${units} units`);
      return pairs.map((pair, index) => ({
        arm,
        units,
        ...pair,
        correct: correct[index] === "1",
        score: scores[index]!,
        spent: spent[index]!,
        mode,
      }));
    }),
    previews: rest.filter((line): line is PreviewSums => Object.hasOwn(line as object, "view")),
    decided: rest.filter((line): line is DecidedSums => Object.hasOwn(line as object, "ends")),
    spentAfter,
  };
}

function bits(verdicts: readonly boolean[]): string {
  return verdicts.map(Number).join("");
}

function verdicts(text: string): boolean[] {
  return [...text].map((bit) => bit === "1");
}

function short(value: number): number {
  return Number(value.toPrecision(6));
}

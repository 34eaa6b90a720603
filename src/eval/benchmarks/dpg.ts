import { z } from "zod";
import { arithmeticMean, dependent, likely } from "../../core/atoms.ts";
import type { Benchmark, JudgedImage, Question, QuestionItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { itemShape, placeByEnding, questionRows } from "./item-rows.ts";
import { checked, readCsvRows } from "./source.ts";

/** A row of dpg_bench.csv: one question, numbered within its prompt, with the numbers of those it depends on (0: none). */
const official = z.looseObject({
  item_id: z.string().min(1),
  text: z.string().min(1),
  proposition_id: z.coerce.number().int().positive(),
  dependency: z.string(),
  tuple: z.string(),
  question_natural_language: z.string().min(1),
});

interface DpgItem extends QuestionItem {
  /** The prompt's name, which files bear. */
  readonly id: string;
}

const schema = z.object({ ...itemShape, id: z.string().min(1), questions: questionRows });

/**
 * DPG-Bench (Hu et al. 2024, ELLA): yes-or-no questions in a graph; where an answer is no, the questions that depend on it
 * count nothing. An image scores the share that holds, the set the mean over its images.
 */
export const dpg: Benchmark<DpgItem> = {
  name: "dpg",
  title: "DPG-Bench",
  tags: ["all"],
  overall: "images",
  atomsInResults: true,
  layout: {
    image: (_index, sample, { id }) => `samples/${id}_${sample}.png`,
    place: placeByEnding,
    files: () => [],
    // Its script cuts 2 x 2 pictures of equal size out of one, row by row.
    grid: (_index, { id }) => ({ path: `images/${id}.png`, columns: 2, gap: 0 }),
    samples: [1, 2, 3, 4],
  },
  async items(source) {
    const groups = new Map<string, Awaited<ReturnType<typeof readDpg>>>();
    for (const row of await readDpg(source)) {
      groups.set(row.row.item_id, [...(groups.get(row.row.item_id) ?? []), row]);
    }
    return [...groups].map(([id, rows]): DpgItem => {
      const numbers = rows.map(({ row }) => row.proposition_id);
      const questions = rows.map(({ row, where }): Question => {
        const parent = parentsOf(row.dependency, numbers, where);
        // "entity - whole (chair)": the first word is the kind.
        const skill = row.tuple.split("(")[0]!.split("-")[0]!.trim() || "other";
        return { question: row.question_natural_language, expected: "yes", skill, parent };
      });
      return { prompt: rows[0]!.row.text, tag: "all", id, questions: inOrder(questions, rows[0]!.where) };
    });
  },
  parse: (row, where) => checked(schema, row, where, "DPG-Bench"),
  aggregate: arithmeticMean,
  figures: (images) => [{ name: "by yes and no", value: byYesAndNo(images) }],
};

function readDpg(source: string) {
  return readCsvRows(source, official, "DPG-Bench");
}

/** Places of the parents in the item's list. */
function parentsOf(text: string, numbers: readonly number[], where: string): number[] {
  return text
    .split(",")
    .map((part) => Number(part.trim()))
    .filter((number) => number !== 0)
    .map((number) => {
      const place = numbers.indexOf(number);
      if (place >= 0) return place;
      throw new TtsVarError("EVAL_DATA", `${where}: dependency ${text} names no question of its prompt`);
    });
}

/** Parents first, as `Question` wants them; the order is kept otherwise. */
function inOrder(questions: readonly Question[], where: string): Question[] {
  const placed: number[] = [];
  const open = new Set<number>();
  const place = (at: number): void => {
    if (placed.includes(at)) return;
    if (open.has(at)) throw new TtsVarError("EVAL_DATA", `${where}: a question depends on itself`);
    open.add(at);
    questions[at]!.parent.forEach(place);
    placed.push(at);
  };
  questions.forEach((_, at) => {
    place(at);
  });
  return placed.map((at) => ({
    ...questions[at]!,
    parent: questions[at]!.parent.map((other) => placed.indexOf(other)),
  }));
}

/** The official way: answers are words, not probabilities. */
function byYesAndNo(images: readonly JudgedImage[]): number {
  const shares = images.map(({ atoms }) => {
    const hard = dependent(atoms.map((atom) => ({ ...atom, p: Number(likely(atom.p)) })));
    return hard.reduce((sum, p) => sum + p, 0) / hard.length;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

import { z } from "zod";
import { arithmeticMean, geometricMean } from "../../core/atoms.ts";
import type { Benchmark, JudgedImage, QuestionItem, SetFigure } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { itemShape, questionRows } from "./item-rows.ts";
import { checked, expectDistinct, readJsonRows } from "./source.ts";

/** A row of geneval2_data.jsonl. The file is the user's: its licence (CC BY-NC 4.0) lets nobody ship it here. */
const official = z.looseObject({
  prompt: z.string().min(1),
  atom_count: z.int().positive(),
  vqa_list: z.array(z.tuple([z.string().min(1), z.string().min(1)])).min(1),
  skills: z.array(z.string().min(1)),
});

const schema = z.object({ ...itemShape, questions: questionRows });

/** "5 atoms", the group in which a prompt is reported. */
export function atomTag(count: number): string {
  return count === 1 ? "1 atom" : `${count} atoms`;
}

/**
 * GenEval 2 (Kamath et al. 2025, arXiv 2512.16853): questions about objects, attributes, counts, positions and verbs, each
 * answered by a probability. An image scores their geometric mean (Soft-TIFA GM), skills the arithmetic one (AM), and the
 * overall score is the mean over all images.
 */
export const geneval2: Benchmark<QuestionItem> = {
  name: "geneval-2",
  title: "GenEval 2",
  tags: Array.from({ length: 10 }, (_, at) => atomTag(at + 1)),
  overall: "images",
  atomsInResults: true,
  layout: {
    image: (index, sample) => `images/${String(index).padStart(5, "0")}_${sample}.png`,
    place(filename) {
      const [, index, sample] = /(\d+)_(\d+)\.png$/.exec(filename) ?? [];
      return index === undefined
        ? { index: null, sample: null }
        : { index: Number(index), sample: Number(sample) };
    },
    // One image a prompt is all that its script knows, so each sample is a set of its own.
    files: (items, samples) =>
      Array.from({ length: samples }, (_, sample): [string, string] => {
        const paths = items.map(({ prompt }, at) => [prompt, geneval2.layout.image(at, sample, items[at]!)]);
        return [`image_paths_${sample}.json`, `${JSON.stringify(Object.fromEntries(paths), null, 1)}\n`];
      }),
    grid: () => null,
  },
  async items(source) {
    const rows = await readJsonRows(source, official, "GenEval 2");
    expectDistinct(
      rows.map(({ row }) => row.prompt),
      rows.map(({ where }) => where),
      "prompt",
    );
    return rows.map(({ row, where }): QuestionItem => {
      const { prompt, atom_count, vqa_list, skills } = row;
      if (skills.length !== vqa_list.length) {
        throw new TtsVarError(
          "EVAL_DATA",
          `${where}: ${vqa_list.length} questions, but ${skills.length} skills`,
        );
      }
      const questions = vqa_list.map(([question, expected], at) => ({
        ...{ question, expected, skill: skills[at]!, parent: [] },
      }));
      return { prompt, tag: atomTag(atom_count), questions };
    });
  },
  parse: (row, where) => checked(schema, row, where, "GenEval 2"),
  aggregate: geometricMean,
  figures: softTifa,
};

/** Both means over all images; GM is the overall score as well. */
export function softTifa(images: readonly JudgedImage[]): SetFigure[] {
  const mean = (of: (image: JudgedImage) => number): number =>
    images.reduce((sum, image) => sum + of(image), 0) / images.length;
  return [
    { name: "Soft-TIFA AM", value: mean(({ atoms }) => arithmeticMean(atoms)) },
    { name: "Soft-TIFA GM", value: mean(({ atoms }) => geometricMean(atoms)) },
  ];
}

import { z } from "zod";
import { geometricMean } from "../../core/atoms.ts";
import type { Benchmark, QuestionItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { createRng } from "../../core/rng.ts";
import type { IncludeClause } from "../geneval/rules.ts";
import { atomTag, geneval2, softTifa } from "./geneval-2.ts";
import { atomCount, clausesOf, drawScene, drawsFrom, promptOf, questionsOf, shapes } from "./home-scenes.ts";
import { itemShape, questionRows } from "./item-rows.ts";
import { checked, readJsonRows } from "./source.ts";

export interface HomeItem extends QuestionItem {
  /** The scene in GenEval's clauses; under this name the reward `geneval` reads it. */
  readonly include: readonly IncludeClause[];
}

const schema = z.object({
  ...itemShape,
  include: z
    .array(
      z.object({
        class: z.string().min(1),
        count: z.int().positive(),
        color: z.string().optional(),
        position: z.tuple([z.string(), z.int().min(0)]).optional(),
      }),
    )
    .min(1),
  questions: questionRows,
});

const mostItems = 5000;

/**
 * GenEval 2's form on scenes of our own: prompts of three to five atoms over the 80 classes, with the questions that follow from
 * them and answers that are known, so that detectors can be asked as well as language models. Nothing of GenEval 2's items
 * is in it, and its figures are not GenEval 2's.
 */
export const homeGeneval2: Benchmark<HomeItem> = {
  name: "home-geneval-2",
  title: "home-GenEval-2",
  tags: [3, 4, 5].map(atomTag),
  overall: "images",
  atomsInResults: true,
  layout: geneval2.layout as Benchmark<HomeItem>["layout"],
  async items(source, seed) {
    if (!/^\d+$/.test(source)) {
      return (await readJsonRows(source, schema, "home-GenEval-2")).map(({ row }) => row as HomeItem);
    }
    const count = Number(source);
    if (count < 1 || count > mostItems) {
      throw new TtsVarError(
        "USAGE",
        `--prompts ${source}: must be a file, or a number from 1 to ${mostItems}`,
      );
    }
    const items = new Map<string, HomeItem>();
    const rng = createRng(seed, "home-geneval-2");
    for (let attempt = 0; items.size < count; attempt++) {
      const draw = drawsFrom(rng.stream("stats", "scene", attempt));
      const scene = drawScene(shapes[items.size % shapes.length]!, draw);
      const prompt = promptOf(scene);
      if (items.has(prompt)) continue;
      const tag = atomTag(atomCount(scene));
      items.set(prompt, { prompt, tag, include: clausesOf(scene), questions: questionsOf(scene) });
    }
    return [...items.values()];
  },
  parse: (row, where) => checked(schema, row, where, "home-GenEval-2") as HomeItem,
  aggregate: geometricMean,
  figures: softTifa,
};

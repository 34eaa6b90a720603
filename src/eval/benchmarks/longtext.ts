import { z } from "zod";
import type { Benchmark, BenchmarkItem, JudgedImage } from "../../core/benchmark.ts";
import { itemShape, placeByEnding } from "./item-rows.ts";
import { checked, expectDistinct, readJsonRows } from "./source.ts";
import { unitsOf } from "./text-units.ts";

const official = z.looseObject({
  prompt: z.string().min(1),
  prompt_id: z.int().min(0),
  category: z.string().min(1).default("all"),
  text: z.array(z.string().min(1)).min(1),
});

export interface LongTextItem extends BenchmarkItem {
  readonly id: number;
  /** What the image has to show; under this name rewards read it, too. */
  readonly text: readonly string[];
}

const schema = z.object({ ...itemShape, id: z.int().min(0), text: z.array(z.string()).min(1) });

/**
 * LongText-Bench (Geng et al. 2025, X-Omni), English or Chinese: the share of wanted words (characters) that are read in the
 * image, pooled over the set. An image's score is its own share.
 */
export const longtext: Benchmark<LongTextItem> = {
  name: "longtext",
  title: "LongText-Bench",
  tags: [],
  overall: "images",
  atomsInResults: true,
  layout: {
    image: (_index, sample, { id }) => `images/${id}_${sample}.png`,
    place: placeByEnding,
    files: () => [],
    grid: () => null,
  },
  async items(source) {
    const rows = await readJsonRows(source, official, "LongText-Bench");
    expectDistinct(
      rows.map(({ row }) => String(row.prompt_id)),
      rows.map(({ where }) => where),
      "prompt_id",
    );
    return rows.map(({ row: { prompt, category, prompt_id, text } }) => ({
      ...{ prompt, tag: category, id: prompt_id, text },
    }));
  },
  parse: (row, where) => checked(schema, row, where, "LongText-Bench"),
  aggregate: (atoms) => pooled([atoms]),
  figures: (images: readonly JudgedImage<LongTextItem>[]) => [
    { name: "text score", value: pooled(images.map(({ atoms }) => atoms)) },
  ],
};

/** Wanted words that were found, over all wanted words: texts count by their length. */
function pooled(images: readonly JudgedImage["atoms"][]): number {
  let found = 0;
  let wanted = 0;
  for (const { expected, p } of images.flat()) {
    const units = unitsOf(expected).length;
    found += p * units;
    wanted += units;
  }
  return wanted === 0 ? 0 : found / wanted;
}

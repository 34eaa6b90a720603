import { z } from "zod";
import type { Benchmark, BenchmarkItem } from "../../core/benchmark.ts";
import { itemShape } from "./item-rows.ts";
import { judgedElsewhere } from "./official-only.ts";
import { checked, filesOf, readJsonRows } from "./source.ts";

const official = z.looseObject({
  type: z.string().regex(/^[^/\\]+$/, "names a folder"),
  short_description: z.string().min(1),
  long_description: z.string().min(1),
});

const forms = ["short_description", "long_description"] as const;

interface TiifItem extends BenchmarkItem {
  readonly form: (typeof forms)[number];
  /** Place of the row in its file, which files are named by. */
  readonly place: number;
}

const schema = z.object({ ...itemShape, form: z.enum(forms), place: z.int().min(0) });

/**
 * TIIF-Bench (Wei et al. 2025): every row asks twice, shortly and at length. Its scripts look for
 * `DIMENSION/MODEL/FORM/N.png`; sample j is the model `tts-var-j`.
 */
export const tiif: Benchmark<TiifItem> = {
  name: "tiif",
  title: "TIIF-Bench",
  tags: [],
  atomsInResults: true,
  layout: {
    image: (_index, sample, { tag, form, place }) => `output/${tag}/tts-var-${sample}/${form}/${place}.png`,
    place(filename) {
      const [, sample] = /tts-var-(\d+)[\\/][a-z]+_description[\\/]\d+\.png$/.exec(filename) ?? [];
      return { index: null, sample: sample === undefined ? null : Number(sample) };
    },
    files: () => [],
    grid: () => null,
  },
  async items(source) {
    const items: TiifItem[] = [];
    for (const path of await filesOf(source, ".jsonl")) {
      for (const { row, at } of await readJsonRows(path, official, "TIIF-Bench")) {
        for (const form of forms) items.push({ prompt: row[form], tag: row.type, form, place: at });
      }
    }
    return items;
  },
  parse: (row, where) => checked(schema, row, where, "TIIF-Bench"),
  aggregate: judgedElsewhere("TIIF-Bench"),
};

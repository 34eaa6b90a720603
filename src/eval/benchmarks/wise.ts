import { z } from "zod";
import type { Benchmark, BenchmarkItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { itemShape } from "./item-rows.ts";
import { judgedElsewhere } from "./official-only.ts";
import { checked, expectDistinct, filesOf, readText } from "./source.ts";

const official = z.array(
  z.looseObject({
    Prompt: z.string().min(1),
    prompt_id: z.int().positive(),
    Explanation: z.string().optional(),
  }),
);

interface WiseItem extends BenchmarkItem {
  readonly id: number;
}

const schema = z.object({ ...itemShape, id: z.int().positive() });

/** Fields by the last number of their prompts, as the official summary has them. */
const fields: readonly (readonly [last: number, tag: string])[] = [
  [400, "CULTURE"],
  [520, "TIME"],
  [640, "SPACE"],
  [760, "BIOLOGY"],
  [880, "PHYSICS"],
  [1000, "CHEMISTRY"],
];

/**
 * WISE and WISE_Verified (Niu et al. 2025): prompts that ask for world knowledge, in six fields of unequal weight. Judged by a
 * language model behind its own scripts, which look for `N.png`.
 */
export const wise: Benchmark<WiseItem> = {
  name: "wise",
  title: "WISE",
  tags: fields.map(([, tag]) => tag),
  overall: { CULTURE: 0.4, TIME: 0.12, SPACE: 0.12, BIOLOGY: 0.12, PHYSICS: 0.12, CHEMISTRY: 0.12 },
  atomsInResults: true,
  layout: {
    // Its script reads one image a prompt, so each sample is a folder of its own.
    image: (_index, sample, { id }) => `images-${sample}/${id}.png`,
    place(filename) {
      const [, sample] = /images-(\d+)[\\/]\d+\.png$/.exec(filename) ?? [];
      return { index: null, sample: sample === undefined ? null : Number(sample) };
    },
    files: () => [],
    grid: () => null,
  },
  async items(source) {
    const items: WiseItem[] = [];
    const places: string[] = [];
    for (const path of (await filesOf(source, ".json")).filter(
      (name) => !/merge\.json$/.test(name) || name === source,
    )) {
      let value: unknown;
      try {
        value = JSON.parse(await readText(path));
      } catch (error) {
        if (error instanceof TtsVarError) throw error;
        throw new TtsVarError("EVAL_DATA", `${path}: not JSON (${(error as Error).message})`);
      }
      for (const { Prompt, prompt_id } of checked(official, value, path, "WISE")) {
        const tag = fields.find(([last]) => prompt_id <= last)?.[1];
        if (tag === undefined) {
          throw new TtsVarError("EVAL_DATA", `${path}: prompt ${prompt_id} is beyond WISE's 1000`);
        }
        items.push({ prompt: Prompt, tag, id: prompt_id });
        places.push(path);
      }
    }
    expectDistinct(
      items.map(({ id }) => String(id)),
      places,
      "number",
    );
    return items.sort((a, b) => a.id - b.id);
  },
  parse: (row, where) => checked(schema, row, where, "WISE"),
  aggregate: judgedElsewhere("WISE"),
};

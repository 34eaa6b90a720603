import { z } from "zod";
import type { Benchmark, BenchmarkItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { itemShape, placeByEnding } from "./item-rows.ts";
import { judgedElsewhere } from "./official-only.ts";
import { checked, readCsvRows } from "./source.ts";

/** Folders of the categories, as its text2image.py has them. */
const folders: Readonly<Record<string, string>> = {
  Anime_Stylization: "anime",
  Portrait: "human",
  General_Object: "object",
  Text_Rendering: "text",
  Knowledge_Reasoning: "reasoning",
  Multilingualism: "multilingualism",
};

const official = z.looseObject({
  category: z.string(),
  id: z.string().regex(/^\d+$/, "must be digits"),
  prompt_en: z.string().optional(),
  prompt_cn: z.string().optional(),
});

interface OneigItem extends BenchmarkItem {
  readonly id: string;
}

const schema = z.object({ ...itemShape, id: z.string().min(1) });

/**
 * OneIG-Bench (Chang et al. 2025), English or Chinese: alignment, text, reasoning, style and diversity, judged by its own scripts
 * on pictures of 2 x 2 samples (or 1).
 */
export const oneig: Benchmark<OneigItem> = {
  name: "oneig",
  title: "OneIG-Bench",
  tags: Object.values(folders),
  atomsInResults: true,
  layout: {
    image: (_index, sample, { tag, id }) => `samples/${tag}/${id}_${sample}.png`,
    place: placeByEnding,
    files: () => [],
    grid: (_index, { tag, id }) => ({ path: `images/${tag}/tts-var/${id}.png`, columns: 2, gap: 0 }),
    // A picture with a hole would be judged with it.
    samples: [1, 4],
  },
  async items(source) {
    const rows = await readCsvRows(source, official, "OneIG-Bench");
    return rows.map(({ row, where }): OneigItem => {
      const tag = folders[row.category];
      const prompt = row.prompt_en || row.prompt_cn;
      if (tag === undefined || !prompt) {
        throw new TtsVarError(
          "EVAL_DATA",
          `${where}: ${tag === undefined ? `unknown category "${row.category}"` : "it has neither prompt_en nor prompt_cn"}`,
        );
      }
      return { prompt, tag, id: row.id };
    });
  },
  parse: (row, where) => checked(schema, row, where, "OneIG-Bench"),
  aggregate: judgedElsewhere("OneIG-Bench"),
};

import { z } from "zod";
import type { Benchmark, BenchmarkItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { itemShape } from "./item-rows.ts";
import { judgedElsewhere } from "./official-only.ts";
import { checked, expectDistinct, filesOf, readText, stemOf } from "./source.ts";

/** Numbers of a prompt's images within its category: its place times this and the sample. The official runs draw ten. */
const mostSamples = 10;

interface CompbenchItem extends BenchmarkItem {
  /** Place of the prompt in its category's file. */
  readonly place: number;
}

const schema = z.object({ ...itemShape, place: z.int().min(0) });

/**
 * T2I-CompBench++ (Huang et al. 2023, 2025): eight categories of compositional prompts, one text file each. Its judges (BLIP-VQA,
 * UniDet, CLIPScore, 3-in-1) read the prompt and the image's number from the file name.
 */
export const compbench: Benchmark<CompbenchItem> = {
  name: "compbench",
  title: "T2I-CompBench++",
  tags: ["color", "shape", "texture", "spatial", "3d_spatial", "numeracy", "non_spatial", "complex"],
  atomsInResults: true,
  layout: {
    image: (_index, sample, { tag, prompt, place }) =>
      `${tag}/samples/${prompt}_${String(place * mostSamples + sample).padStart(6, "0")}.png`,
    place: (filename) => ({
      index: null,
      sample: Number(/_(\d{6,})\.png$/.exec(filename)?.[1] ?? 0) % mostSamples,
    }),
    files: () => [],
    grid: () => null,
    samples: Array.from({ length: mostSamples }, (_, at) => at + 1),
  },
  async items(source) {
    const files = (await filesOf(source, "_val.txt")).filter((path) => !/_(un)?seen\.txt$/.test(path));
    const items: CompbenchItem[] = [];
    for (const path of files) {
      const tag = stemOf(path).replace(/_(val|train)$/, "");
      const lines = (await readText(path)).split(/\r?\n/).map((line) => line.split("\t")[0]!.trim());
      const prompts = lines.filter((line) => line !== "");
      if (prompts.length === 0) throw new TtsVarError("EVAL_DATA", `${path} holds no prompts`);
      const places = prompts.map((_, at) => `${path}:${at + 1}`);
      expectDistinct(prompts, places, "prompt");
      prompts.forEach((prompt, place) => {
        expectName(prompt, places[place]!);
        items.push({ prompt, tag, place });
      });
    }
    return items;
  },
  parse: (row, where) => checked(schema, row, where, "T2I-CompBench++"),
  aggregate: judgedElsewhere("T2I-CompBench++"),
};

/** The prompt is a file's name, up to the first underscore. */
function expectName(prompt: string, where: string): void {
  if (!/[_/\\]/.test(prompt) && prompt.length <= 200 && !prompt.includes("\0")) return;
  throw new TtsVarError(
    "EVAL_DATA",
    `${where}: T2I-CompBench++ reads prompts from file names, so they hold no slash or underscore and at most 200 characters`,
  );
}

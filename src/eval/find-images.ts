import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Benchmark, BenchmarkItem, FoundImage, FoundSet } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { layout } from "./layout.ts";

/**
 * The images of a folder, by the benchmark's own rules, or else where its layout puts the items of `prompts.jsonl`.
 *
 * @throws EVAL_DATA when the folder cannot be read, knows no items, or an item is bad
 */
export async function findImages(benchmark: Benchmark, dir: string): Promise<FoundSet> {
  return benchmark.layout.find ? benchmark.layout.find(dir) : findListed(benchmark, dir);
}

async function findListed(benchmark: Benchmark, dir: string): Promise<FoundSet> {
  const items = await listedItems(benchmark, join(dir, layout.prompts));
  const images: FoundImage[] = [];
  for (const [index, item] of items.entries()) {
    for (let sample = 0; ; sample++) {
      const filename = benchmark.layout.image(index, sample, item);
      if (!(await stat(join(dir, filename)).catch(() => null))?.isFile()) break;
      images.push({ index, sample, filename, item });
    }
  }
  return { images, items: new Map(items.entries()), ignored: [] };
}

async function listedItems(benchmark: Benchmark, path: string): Promise<BenchmarkItem[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError(
      "EVAL_DATA",
      `cannot read ${path} (${error.code ?? error.message}); it must list the items, one JSON object a line`,
      { cause: error },
    );
  });
  return text
    .replace(/\s+$/, "")
    .split(/\r?\n/)
    .map((line, index) => {
      const where = `${path}:${index + 1}`;
      let row: unknown;
      try {
        row = JSON.parse(line);
      } catch (error) {
        throw new TtsVarError("EVAL_DATA", `${where}: not JSON (${(error as Error).message})`, {
          cause: error,
        });
      }
      return benchmark.parse(row, where);
    });
}

import type { BenchmarkLayout } from "../../core/benchmark.ts";
import type { GenevalMetadata } from "./rules.ts";
import { scanFolder } from "./scan-folder.ts";

/** GenEval's folder: `00000/metadata.jsonl`, `00000/samples/0000.png`, `00000/grid.png`. */
export const genevalLayout: BenchmarkLayout<GenevalMetadata> = {
  image: (index, sample) => `${folder(index)}/samples/${String(sample).padStart(4, "0")}.png`,
  place(filename) {
    const parts = filename.split(/[\\/]/);
    const [, sample] = /(\d+)\.[^.]+$/.exec(parts.at(-1)!) ?? [];
    const index =
      parts.at(-2) === "samples" && /^\d+$/.test(parts.at(-3) ?? "") ? Number(parts.at(-3)) : null;
    return { index, sample: sample === undefined ? null : Number(sample) };
  },
  files: (rows) => rows.map((row, index) => [`${folder(index)}/metadata.jsonl`, `${JSON.stringify(row)}\n`]),
  grid: (index) => ({ path: `${folder(index)}/grid.png`, columns: 4, gap: 2 }),
  find: scanFolder,
};

function folder(index: number): string {
  return String(index).padStart(5, "0");
}

import type { Benchmark } from "../core/benchmark.ts";
import { type CommercialUse, commercialUse } from "../core/licence.ts";
import type { Listing } from "../core/registry.ts";

/** A benchmark as `tts-var list benchmarks` shows it. */
export interface BenchmarkListing extends Listing {
  readonly source: string;
  /** What `--prompts` takes. */
  readonly prompts: string;
  /** Who can judge here; empty: only its own scripts. */
  readonly judges: readonly ("detector" | "vlm" | "ocr")[];
  /** How its own scripts are called on a generated folder DIR; null: it has none, or they are GenEval's. */
  readonly official: string | null;
  /** Licence of its prompts, as its repository states it. */
  readonly license: string;
  readonly commercial: CommercialUse;
}

type Entry = BenchmarkListing & { load(): Promise<Benchmark> };

function entry(row: Omit<Entry, "commercial">): Entry {
  return { ...row, commercial: commercialUse(row.license) };
}

/** All benchmarks. Items of others are the user's: none is part of this package. */
export const benchmarks: readonly Entry[] = [
  entry({
    name: "geneval",
    summary: "objects, counts, colours and positions in six tasks, judged by a detector",
    source: "Ghosh et al. 2023; github.com/djghosh13/geneval",
    prompts: "evaluation_metadata.jsonl, or a number",
    judges: ["detector"],
    official:
      "official judge: python evaluation/evaluate_images.py DIR --outfile results.jsonl --model-path MODELS",
    license: "MIT",
    load: async () => (await import("../eval/geneval/benchmark.ts")).geneval,
  }),
  entry({
    name: "geneval-2",
    summary: "3 to 10 atoms a prompt, by token probabilities of a language model (Soft-TIFA)",
    source: "Kamath et al. 2025; github.com/facebookresearch/GenEval2",
    prompts: "geneval2_data.jsonl",
    judges: ["vlm"],
    official:
      "official judge: cd DIR && python evaluation.py --benchmark_data geneval2_data.jsonl --image_filepath_data image_paths_0.json --method soft_tifa_gm --output_file scores.json",
    license: "CC-BY-NC-4.0",
    load: async () => (await import("../eval/benchmarks/geneval-2.ts")).geneval2,
  }),
  entry({
    name: "home-geneval-2",
    summary: "GenEval 2's form on generated scenes with known answers, offline",
    source: "this project; after Kamath et al. 2025",
    prompts: "a number",
    judges: ["detector", "vlm"],
    official: null,
    license: "MIT",
    load: async () => (await import("../eval/benchmarks/home-geneval-2.ts")).homeGeneval2,
  }),
  entry({
    name: "dpg",
    summary: "long prompts, yes-or-no questions in a graph of dependencies",
    source: "Hu et al. 2024; github.com/TencentQQGYLab/ELLA",
    prompts: "dpg_bench.csv",
    judges: ["vlm"],
    official:
      "official judge: accelerate launch dpg_bench/compute_dpg_bench.py --image-root-path DIR/images --resolution WIDTH --pic-num SAMPLES --vqa-model mplug",
    license: "Apache-2.0",
    load: async () => (await import("../eval/benchmarks/dpg.ts")).dpg,
  }),
  entry({
    name: "compbench",
    summary: "T2I-CompBench++: attributes, relations, numbers in eight categories",
    source: "Huang et al. 2023, 2025; github.com/Karine-Huang/T2I-CompBench",
    prompts: "examples/dataset, or one of its *_val.txt",
    judges: [],
    official:
      "official judge, by category: python BLIP_vqa.py --out_dir=DIR/color (and so on; see its Readme)",
    license: "MIT",
    load: async () => (await import("../eval/benchmarks/compbench.ts")).compbench,
  }),
  entry({
    name: "wise",
    summary: "world knowledge in six fields of unequal weight",
    source: "Niu et al. 2025; github.com/PKU-YuanGroup/WISE",
    prompts: "data_verified, or one of its JSON files",
    judges: [],
    official: "official judge: IMAGE_DIR=DIR/images-0 bash eval_qwen.sh",
    license: "unstated",
    load: async () => (await import("../eval/benchmarks/wise.ts")).wise,
  }),
  entry({
    name: "tiif",
    summary: "instructions in a short and a long form, 36 dimensions",
    source: "Wei et al. 2025; github.com/A113N-W3I/TIIF-Bench",
    prompts: "data/test_prompts, or one of its jsonl files",
    judges: [],
    official:
      "official judge: python eval/eval_with_vlm.py --jsonl_dir data/test_eval_prompts --image_dir DIR/output --eval_model tts-var-0 --output_dir RESULTS",
    license: "unstated",
    load: async () => (await import("../eval/benchmarks/tiif.ts")).tiif,
  }),
  entry({
    name: "oneig",
    summary: "alignment, text, reasoning, style and diversity in six categories",
    source: "Chang et al. 2025; github.com/OneIG-Bench/OneIG-Benchmark",
    prompts: "OneIG-Bench.csv",
    judges: [],
    official:
      'official judge: ./run_overall.sh with image_dir=DIR/images, model_names=("tts-var") and image_grid of 2,2 (four samples) or 1,1',
    license: "unstated",
    load: async () => (await import("../eval/benchmarks/oneig.ts")).oneig,
  }),
  entry({
    name: "longtext",
    summary: "long texts in images, by the share of words that are read",
    source: "Geng et al. 2025; github.com/X-Omni-Team/X-Omni",
    prompts: "textbench/text_prompts.jsonl",
    judges: ["ocr"],
    official: "official judge: SAMPLE_FOLDER=DIR/images in textbench/eval.sh",
    license: "Apache-2.0",
    load: async () => (await import("../eval/benchmarks/longtext.ts")).longtext,
  }),
];

import { allOf } from "../../core/atoms.ts";
import type { Benchmark } from "../../core/benchmark.ts";
import { genevalLayout } from "./layout.ts";
import { parseMetadata } from "./metadata.ts";
import { loadPrompts } from "./prompt-source.ts";
import type { GenevalMetadata } from "./rules.ts";
import { tags } from "./vocabulary.ts";

/** GenEval (Ghosh et al. 2023): objects, counts, colours and positions, judged by a detector. */
export const geneval: Benchmark<GenevalMetadata> = {
  name: "geneval",
  title: "GenEval",
  tags,
  layout: genevalLayout,
  atomsInResults: false,
  items: loadPrompts,
  parse: parseMetadata,
  aggregate: allOf,
};

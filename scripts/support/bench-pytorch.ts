import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type OpenSearch, openSearch, planConfig } from "../../src/assemble/open-search.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { Task } from "../../src/core/task.ts";
import { loadInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { packageRoot } from "../../src/io/package-root.ts";
import { drawAll, type Parts } from "./best-of-n.ts";
import { costOf } from "./process-cost.ts";
import { Collected, order, roundsOf } from "./samples.ts";

const PROMPT = "a photo of a blue dog and a red umbrella";
const MODEL = join(packageRoot(), "models", "generator");
const WHOLE = join(packageRoot(), "models", "embedded-int8");

/** What one run took, in milliseconds and bytes. */
interface Taken {
  readonly transformer: number;
  readonly decode: number;
  readonly cpu: number;
  readonly peak: number;
}

type Loop =
  | "ours"
  | "ours, int8"
  | "ours, search"
  | "ours, int8, search"
  | "all int8, search"
  | "best"
  | "published"
  | "published-bf16";

/** What each of our searches sets; the last one also has its reward and its features in int8. */
const SEARCHES = {
  "ours, search": { "model.name": "embedded" },
  "ours, int8, search": { "model.name": "embedded-int8" },
  "all int8, search": {
    "model.name": "embedded-int8",
    "reward.options.model": "dual-encoder-int8",
    "features.model": "dual-encoder-int8",
  },
} as const;
type SearchLoop = keyof typeof SEARCHES;
const isSearch = (loop: Loop): loop is SearchLoop => Object.hasOwn(SEARCHES, loop);

export interface PytorchOptions {
  readonly rounds: number;
  /** Candidates, a row of the table each. */
  readonly candidates: readonly number[];
  /** Loops besides ours and the best one, which cost minutes at many candidates. */
  readonly published: boolean;
}

/**
 * The embedded generator beside the same weights in PyTorch (`training/bench_loop.py`), taking turns: best-of-n without a
 * reward against the fastest loop, and a whole `tts-var` search, rewards included, against the published loop without any,
 * which computes as many candidates at every scale and decodes them all at full size.
 */
export async function benchAgainstPytorch(options: PytorchOptions): Promise<unknown> {
  const torch = new Torch();
  const { torch: version, ...tuned } = await torch.ready();
  const generator = await loadInfinity(MODEL);
  const whole = await loadInfinity(WHOLE);
  const collected = new Collected();
  const rows = [];
  for (const count of options.candidates) {
    const searches = new Map<Loop, Search>();
    for (const [loop, settings] of Object.entries(SEARCHES)) {
      searches.set(loop as SearchLoop, await Search.open(count, settings));
    }
    const { widths } = searches.get("ours, search")!;
    const loops: Loop[] = ["ours", "ours, int8", "best"];
    if (options.published) loops.push(...searches.keys(), "published", "published-bf16");
    for (const round of roundsOf(options.rounds)) {
      const { gflops } = await torch.ask<{ gflops: number }>({ loop: "gemm" });
      if (round >= 0) collected.add("GEMM peak", gflops);
      for (const loop of order(loops, round)) {
        const taken = await run(loop, count, round + 1);
        if (round < 0) continue;
        for (const [part, value] of Object.entries(taken)) collected.add(`${loop} ${count} ${part}`, value);
        collected.add(`${loop} ${count} whole`, taken.transformer + taken.decode);
      }
    }
    for (const search of searches.values()) await search[Symbol.asyncDispose]();
    rows.push({ count, loops, widths });

    async function run(loop: Loop, candidates: number, seed: number): Promise<Taken> {
      if (loop === "ours") return measured(() => drawAll(generator, PROMPT, candidates, seed));
      if (loop === "ours, int8") return measured(() => drawAll(whole, PROMPT, candidates, seed));
      const search = searches.get(loop);
      if (search) return measured(() => search.run(seed));
      return torch.ask({ loop, candidates, seed, widths: loop === "best" ? undefined : widths });
    }
  }
  const summaries = collected.summaries();
  const flops = generator.traits.cost.stages.reduce((sum, stage) => sum + stage, 0);
  const share = (loop: Loop, count: number): number => {
    // The first scale is one row for all.
    const work = count * (flops - generator.traits.cost.stages[0]!);
    const rate = work / summaries[`${loop} ${count} transformer`]!.median / 1e6;
    return Number((rate / summaries["GEMM peak"]!.median).toFixed(2));
  };
  const header = [
    "candidates",
    "loop",
    "transformer, ms",
    "decode, ms",
    "whole, ms",
    "processor, ms",
    "peak, MiB",
  ];
  const text = [
    `GEMM peak of this run (float32, 2048 x 2048, PyTorch): ${summaries["GEMM peak"]!.median} GFLOP/s`,
    `| ${[...header, "share of the peak", "whole, ratio to ours", "processor, ratio to ours"].join(" | ")} |`,
    `|${"--:|".repeat(header.length + 3)}`,
  ];
  for (const { count, loops } of rows) {
    for (const loop of loops) {
      const cell = (part: string): string =>
        String(Math.round(summaries[`${loop} ${count} ${part}`]!.median));
      const mib = Math.round(summaries[`${loop} ${count} peak`]!.median / 2 ** 20);
      const alone = loop === "ours" || loop === "ours, int8" || loop === "best";
      const ours: Loop = alone ? "ours" : "ours, search";
      const parts = isSearch(loop) ? ["", ""] : [cell("transformer"), cell("decode")];
      const peak = alone ? share(loop, count) : "";
      const ratios = ["whole", "cpu"].map((part) =>
        collected.ratio(`${loop} ${count} ${part}`, `${ours} ${count} ${part}`),
      );
      text.push(
        `| ${[count, loop, ...parts, cell("whole"), cell("cpu"), mib, peak, ...ratios].join(" | ")} |`,
      );
    }
  }
  console.error(text.join("\n"));
  await generator[Symbol.asyncDispose]();
  await whole[Symbol.asyncDispose]();
  torch.end();
  return { torch: version, ...tuned, rows, samples: summaries };
}

async function measured(work: () => Promise<Parts>): Promise<Taken> {
  const { result, cpu, peak } = await costOf(work);
  return { ...result, cpu, peak };
}

/** A `tts-var` search that starts with so many candidates, warm. */
class Search {
  readonly widths: readonly number[];
  readonly #open: OpenSearch;
  readonly #task: Task;

  private constructor(open: OpenSearch, task: Task, widths: readonly number[]) {
    this.#open = open;
    this.#task = task;
    this.widths = widths;
  }

  static async open(candidates: number, settings: Readonly<Record<string, string>>): Promise<Search> {
    const flags = Object.entries({
      ...settings,
      "task.prompt": PROMPT,
      "strategy.name": "tts-var",
      // The paper's schedule starts with eight times N.
      "strategy.options.multiplier": candidates / 8,
      budget: 4 * candidates,
    }).map(([path, value]) => ({ path, value, flag: "bench" }));
    const { config } = resolveConfig({ flags });
    const planned = await planConfig(config, { baseDir: packageRoot(), allowDownload: false, log: () => {} });
    const widths = planned.plan.rows.map(({ widthIn }) => widthIn);
    return new Search(await openSearch(planned), planned.task, widths);
  }

  async run(seed: number): Promise<Parts> {
    const begun = performance.now();
    await this.#open.run({ ...this.#task, seed });
    return { transformer: performance.now() - begun, decode: 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]();
  }
}

/** The loop in PyTorch: a line of JSON for every line of JSON. */
class Torch {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const training = join(packageRoot(), "training");
    const own = join(training, ".venv", "bin", "python");
    const python = process.env["PYTHON"] ?? (existsSync(own) ? own : "python3");
    this.#child = spawn(python, ["-W", "ignore", "bench_loop.py", "--embedded", MODEL, "--prompt", PROMPT], {
      cwd: training,
      stdio: ["pipe", "pipe", "inherit"],
      // Ctrl-C is for this program, which finishes the round; the loop ends with its stdin.
      detached: true,
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  ready(): Promise<{ torch: string; threads: number; block: number }> {
    return this.#answer();
  }

  ask<T = Taken>(request: object): Promise<T> {
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.#answer();
  }

  end(): void {
    this.#child.stdin!.end();
  }

  async #answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("bench_loop.py ended; it needs the training environment (CONTRIBUTING.md)");
    return JSON.parse(value) as T;
  }
}

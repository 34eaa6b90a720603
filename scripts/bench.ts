import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSearch, planConfig } from "../src/assemble/open-search.ts";
import { resolveConfig } from "../src/config/resolve.ts";
import { packageRoot } from "../src/io/package-root.ts";
import { versions } from "../src/run/versions.ts";
import { benchGeneval, benchSplits } from "./bench-geneval.ts";
import { benchAgainstCommit } from "./support/bench-commit.ts";
import { benchAgainstPytorch } from "./support/bench-pytorch.ts";
import { type Samples, summarise } from "./support/samples.ts";

// As one JSON object on stdout; read `loadAverage` first. What is compared takes turns round by round, so that a busy machine
// slows all of it alike.
//
//     npm run bench [-- ROUNDS [PROMPTS]]        where a search's time goes
//     npm run bench -- --against HEAD~1 [--only "budget 8"]
//                                                ratios to another commit, as a table on stderr too
//     npm run bench -- --against pytorch [--candidates 1,8,32] [--no-published]
//                                                the same weights in PyTorch; needs the training environment
//     npm run bench -- --warm                    only what is warm: what the models take, and what the engine takes beside them
//     npm run bench -- --splits [PROMPTS]        an evaluation by processes and threads

const PROMPT = "a photo of a blue dog and a red umbrella";
const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    against: { type: "string" },
    rounds: { type: "string" },
    candidates: { type: "string", default: "1,8,32,64,128" },
    published: { type: "boolean", default: true },
    only: { type: "string", default: "" },
    splits: { type: "boolean", default: false },
    warm: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds ?? positionals[0] ?? (values.against === undefined ? 5 : 7));
const root = packageRoot();

/** Milliseconds and peak memory of one process of the command line. */
function timeProcess(argv: readonly string[]): Promise<{ ms: number; code: number | null }> {
  return new Promise((done) => {
    const start = performance.now();
    const child = spawn(process.execPath, [join(root, "bin", "tts-var.mjs"), ...argv], { stdio: "ignore" });
    child.on("exit", (code) => done({ ms: performance.now() - start, code }));
  });
}

async function benchProcesses(): Promise<Record<string, Samples>> {
  const out = join(tmpdir(), `tts-var-bench-${process.pid}`);
  const variants: Record<string, string[]> = {
    help: ["--help"],
    plan: ["plan"],
    searchCold: ["search", "-p", PROMPT, "--strategy", "tts-var", "--budget", "8", "--quiet", "--out", out],
  };
  const times: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, argv] of Object.entries(variants)) {
      const { ms, code } = await timeProcess(argv);
      if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}`);
      times[name] = [...(times[name] ?? []), ms];
    }
  }
  await rm(out, { recursive: true, force: true });
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summarise(values)]));
}

/** Searches in this process: models are loaded once, strategies take turns. */
async function benchWarm(): Promise<Record<string, unknown>> {
  const results: Record<string, unknown> = {};
  const wanted = [
    ["single", 8],
    ["best-of-n", 8],
    ["tts-var", 8],
    ["best-of-n", 64],
    ["tts-var", 64],
  ] as const;
  const variants = await Promise.all(
    wanted.map(async ([name, budget]) => {
      const strategy = `${name}, budget ${budget}`;
      const settings = { "task.prompt": PROMPT, "strategy.name": name, budget };
      const { config } = resolveConfig({
        flags: Object.entries(settings).map(([path, value]) => ({ path, value, flag: "bench" })),
      });
      const host = { baseDir: root, allowDownload: false, log: () => {} };
      const planned = await planConfig(config, host);
      const start = performance.now();
      const open = await openSearch(planned);
      return { strategy, planned, open, loadMs: performance.now() - start };
    }),
  );
  const totals = new Map<string, number[]>();
  const stages = new Map<string, Map<string, number[]>>();
  const overheads = new Map<string, number[]>();
  for (let round = -1; round < rounds; round++) {
    for (const { strategy, planned, open } of variants) {
      const parts = new Map<string, number>();
      const start = performance.now();
      // Another seed each round: equal images would be scored from memory.
      await open.run(
        { ...planned.task, seed: round + 1 },
        {
          timing: {
            begin(kind, stage) {
              const begun = performance.now();
              const key = kind === "transformer" ? `${kind}.${stage}` : kind;
              return () => parts.set(key, (parts.get(key) ?? 0) + performance.now() - begun);
            },
          },
        },
      );
      const total = performance.now() - start;
      if (round < 0) continue;
      push(totals, strategy, total);
      const inModels = [...parts.values()].reduce((sum, value) => sum + value, 0);
      push(overheads, strategy, (100 * (total - inModels)) / total);
      const own = stages.get(strategy) ?? new Map<string, number[]>();
      stages.set(strategy, own);
      for (const [key, ms] of parts) push(own, key, ms);
    }
  }
  for (const { strategy, planned, open, loadMs } of variants) {
    results[strategy] = {
      units: planned.plan.total,
      loadMs: Math.round(loadMs),
      warmMs: summarise(totals.get(strategy)!),
      engineOverheadPercent: summarise(overheads.get(strategy)!),
      stagesMs: Object.fromEntries(
        [...stages.get(strategy)!].map(([key, values]) => [key, summarise(values).median]),
      ),
    };
    await open[Symbol.asyncDispose]();
  }
  return results;
}

function push(map: Map<string, number[]>, key: string, value: number): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

/** Where a search's time goes. */
async function benchAlone(): Promise<Record<string, unknown>> {
  const processMs = await benchProcesses();
  const warm = await benchWarm();
  // Prompts per second by backend; the second argument is the number of prompts.
  const geneval = await benchGeneval(Number(positionals[1] ?? 64));
  return { processMs, warm, geneval, peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024) };
}

async function bench(): Promise<object> {
  const { against, candidates, published, only, splits } = values;
  if (values.warm) return { warm: await benchWarm() };
  if (splits) return { splits: await benchSplits(Number(positionals[0] ?? 60), Number(values.rounds ?? 3)) };
  if (against === undefined) return benchAlone();
  if (against !== "pytorch") return { commit: await benchAgainstCommit(against, rounds, new RegExp(only)) };
  const counts = candidates.split(",").map(Number);
  return { pytorch: await benchAgainstPytorch({ rounds, candidates: counts, published }) };
}

const before = loadavg();
const found = await bench();
console.log(
  JSON.stringify(
    {
      schemaVersion: 1,
      rounds,
      machine: { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length },
      loadAverage: { before, after: loadavg() },
      versions: versions(),
      ...found,
    },
    null,
    2,
  ),
);
process.exit(0);

/**
 * A search with a model of true size on this machine: time, peak memory against the plan, and FLOPs and time of each
 * graph against the cost model. Linux only (peak memory is read from /proc).
 *
 *     npx tsx scripts/infinity-size.ts --model ./infinity-2b --out results/infinity-2b-size
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { planConfig } from "../src/assemble/open-search.ts";
import { resolveConfig } from "../src/config/resolve.ts";
import { FULL_VIEW } from "../src/core/generator.ts";
import { rowFlops } from "../src/generators/next-scale/infinity/cost.ts";
import { infinityTraits, openNetwork, readInfinity } from "../src/generators/next-scale/infinity/open.ts";
import { startSession } from "../src/generators/next-scale/session.ts";
import { resolveSettings } from "../src/generators/next-scale/settings.ts";
import { loadTokenizer } from "../src/inference/runtime/tokenizer.ts";
import { writeFileAtomic, writeJsonAtomic } from "../src/io/atomic.ts";
import { readJsonl } from "../src/io/jsonl.ts";
import { type GraphProfile, readGraphProfile } from "./graph-profile.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    out: { type: "string", default: "results/infinity-2b-size" },
    prompt: { type: "string", default: "a photo of a red cup and a blue dog" },
    budget: { type: "string", default: "2" },
    strategy: { type: "string", default: "best-of-n" },
    size: { type: "string" },
    threads: { type: "string", default: "2" },
    /** Run folder of the search; a search and profiles that are there already are reported instead of made again. */
    search: { type: "string" },
  },
});

interface SizeRun {
  readonly command: string;
  readonly model: Readonly<Record<string, unknown>>;
  readonly machine: { readonly cpu: string; readonly threads: number; readonly memory: number };
  readonly image: { readonly width: number; readonly height: number };
  readonly search: {
    readonly seconds: number;
    /** Of all threads: what it would take about half as long on two idle cores. */
    readonly cpuSeconds: number;
    readonly spentUnits: number;
    readonly spentFlops: number;
    readonly msByKind: Readonly<Record<string, number>>;
    readonly msByScale: readonly number[];
  };
  readonly memory: { readonly planned: number; readonly measured: number; readonly empty: number };
  readonly graphs: readonly GraphRow[];
}

interface GraphRow {
  readonly graph: string;
  readonly estimated: number;
  readonly counted: number;
  readonly ms: number;
  readonly operators: GraphProfile["msByOperator"];
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
const tera = (flops: number): string => (flops / 1e12).toFixed(4);
const seconds = (ms: number): string => (ms / 1000).toFixed(1);

/** The page of a run: what was run, what it took, and how far the estimates were off. */
function describeSizeRun(run: SizeRun): string {
  const { command, model, machine, image, search, memory, graphs } = run;
  const sum = (read: (row: GraphRow) => number): number =>
    graphs.reduce((total, row) => total + read(row), 0);
  const share = (value: number, total: number): string => `${((100 * value) / total).toFixed(2)} %`;
  const [estimated, counted, ms] = [sum((r) => r.estimated), sum((r) => r.counted), sum((r) => r.ms)];
  const worst = Math.max(
    ...graphs.map((row) => Math.abs(row.counted / counted / (row.estimated / estimated) - 1)),
  );
  const rows = graphs.map((row) =>
    [
      row.graph,
      tera(row.estimated),
      tera(row.counted),
      share(row.estimated, estimated),
      share(row.counted, counted),
      seconds(row.ms),
      share(row.ms, ms),
      (row.counted / row.ms / 1e6).toFixed(1),
    ].join(" | "),
  );
  const error = (memory.planned / (memory.measured - memory.empty) - 1) * 100;
  return `# A model of true size on a CPU

\`${model["variant"]}\` with ${model["dtype"]} weights at ${image.width}x${image.height} pixels. The weights are random: this measures cost, not pictures.
Made by \`npx tsx scripts/infinity-size.ts --model ./infinity-2b\`; the folder by \`training/export_infinity.py\` (see
[docs/infinity.md](../../docs/infinity.md)). Machine: ${machine.cpu}, ${machine.threads} threads, shared with other work, so times are upper bounds.

\`\`\`
${command}
\`\`\`

| | |
|---|--:|
| time, start to end | ${search.seconds.toFixed(0)} s |
| processor time, all threads | ${search.cpuSeconds.toFixed(0)} s |
| of the time: loading, with all hashes | ${seconds(search.msByKind["load"] ?? 0)} s |
| transformer | ${seconds(search.msByKind["transformer"] ?? 0)} s |
| decoding | ${seconds(search.msByKind["decode"] ?? 0)} s |
| text, once | ${seconds(search.msByKind["text"] ?? 0)} s |
| reward | ${seconds(search.msByKind["reward"] ?? 0)} s |
| spent | ${search.spentUnits.toFixed(2)} units, ${tera(search.spentFlops)} TFLOP |
| peak memory of the process (VmHWM) | ${gib(memory.measured)} |
| of it an idle program | ${gib(memory.empty)} |
| planned for the generator before the run | ${gib(memory.planned)} (${error >= 0 ? "+" : ""}${error.toFixed(0)} % of what it took) |

Seconds of the transformer by scale: ${search.msByScale.map((value) => seconds(value)).join(", ")}.

## Graphs: estimated and counted FLOPs, and time

One candidate through all graphs, with the runtime's profiler on. *Estimated* is the cost model that plans and budgets
use, for the prompt's own length. *Counted* adds up the matrix products, attentions and convolutions that the runtime
executed, from the shapes that went through them. Time is that of all operators of a graph.

| graph | estimated TFLOP | counted TFLOP | estimated share | counted share | seconds | share of time | GFLOP/s |
|---|--:|--:|--:|--:|--:|--:|--:|
${rows.map((row) => `| ${row} |`).join("\n")}

Largest difference between an estimated and a counted share: ${(100 * worst).toFixed(1)} % of the share. Shares of time differ from shares of
FLOPs where a graph runs at another speed (last column).
`;
}

async function main(): Promise<void> {
  const { model: dir, prompt } = flags;
  if (dir === undefined) throw new Error("--model DIR is needed: a folder of training/export_infinity.py");
  const scratch = await mkdtemp(join(tmpdir(), "infinity-size-"));
  try {
    const shape = flags.size === undefined ? {} : { size: flags.size };
    const model = await readInfinity(dir, shape);
    const { manifest } = model;
    const traits = infinityTraits(model);
    const args = ["search", "--prompt", prompt, "--model", dir, "--budget", flags.budget];
    args.push("--strategy", flags.strategy, "--threads", flags.threads);
    if (flags.size !== undefined) args.push("--size", flags.size);
    const folder = flags.search ?? join(scratch, "run");
    if (flags.search === undefined || !existsSync(join(folder, "peak.json"))) {
      const empty = await runAndWatch(["list", "models"]);
      const started = performance.now();
      const { peak, cpuSeconds } = await runAndWatch([...args, "--out", folder]);
      const seconds = (performance.now() - started) / 1000;
      const content = { seconds, cpuSeconds, empty: empty.peak, measured: peak };
      await writeJsonAtomic(join(folder, "peak.json"), content);
    }
    const { seconds, cpuSeconds, ...memory } = JSON.parse(
      await readFile(join(folder, "peak.json"), "utf8"),
    ) as {
      seconds: number;
      cpuSeconds: number;
      empty: number;
      measured: number;
    };
    const search = await readSearch(folder);
    const run: SizeRun = {
      command: `tts-var ${args.map((arg) => (arg.includes(" ") ? JSON.stringify(arg) : arg === dir ? "./infinity-2b" : arg)).join(" ")}`,
      model: { variant: manifest["variant"], dtype: manifest.dtype, source: manifest["source"] },
      machine: {
        cpu: cpus()[0]?.model ?? "",
        threads: Number(flags.threads),
        memory: totalmem(),
      },
      image: {
        width: traits.shape.width,
        height: traits.shape.height,
      },
      search: { seconds, cpuSeconds, ...search },
      memory: { planned: await plannedPeak(dir, prompt), ...memory },
      graphs: await compareGraphs(dir, prompt, shape, join(folder, "profiles")),
    };
    const name = flags.strategy === "best-of-n" ? "table" : flags.strategy;
    await writeJsonAtomic(join(flags.out, `${name}.json`), run);
    if (name === "table") await writeFileAtomic(join(flags.out, "README.md"), describeSizeRun(run));
    process.stdout.write(describeSizeRun(run));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Ticks of /proc/PID/stat per second; the same on all Linux systems. */
const TICKS = 100;

/** Runs the command line in a process of its own; returns the most memory that it ever had, and its processor time. */
async function runAndWatch(args: readonly string[]): Promise<{ peak: number; cpuSeconds: number }> {
  const child = spawn(process.execPath, ["--import", "tsx", "src/cli/main.ts", ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  let peak = 0;
  let cpuSeconds = 0;
  const timer = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peak = Math.max(peak, 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0));
    const stat = await readFile(`/proc/${child.pid}/stat`, "utf8").catch(() => "");
    // Behind the name in parentheses come state and ten more fields, then the times of user and system.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    cpuSeconds = Math.max(cpuSeconds, (Number(fields[11]) + Number(fields[12])) / TICKS || 0);
  }, 100);
  const code = await new Promise((done) => child.on("exit", done));
  clearInterval(timer);
  if (code !== 0) throw new Error(`tts-var ${args.join(" ")} ended with ${code}`);
  return { peak, cpuSeconds };
}

async function readSearch(run: string): Promise<Omit<SizeRun["search"], "seconds" | "cpuSeconds">> {
  const { rows } = await readJsonl<{ kind: string; ms: number; scale?: number }>(join(run, "timing.jsonl"));
  const msByKind: Record<string, number> = {};
  const msByScale: number[] = [];
  for (const { kind, ms, scale } of rows) {
    msByKind[kind] = (msByKind[kind] ?? 0) + ms;
    if (kind === "transformer" && scale !== undefined) msByScale[scale] = (msByScale[scale] ?? 0) + ms;
  }
  const { budget } = JSON.parse(await readFile(join(run, "metrics.json"), "utf8")) as {
    budget: { spent: number; flops: { total: number } };
  };
  return { spentUnits: budget.spent, spentFlops: budget.flops.total, msByKind, msByScale };
}

async function plannedPeak(dir: string, prompt: string): Promise<number> {
  const set = (path: string, value: unknown) => ({ path, value, flag: "script" });
  const { config } = resolveConfig({
    flags: [
      set("task.prompt", prompt),
      set("model", dir),
      set("budget", Number(flags.budget)),
      set("strategy.name", flags.strategy),
      ...(flags.size === undefined ? [] : [set("model.size", flags.size)]),
    ],
  });
  const host = { baseDir: process.cwd(), allowDownload: false, log: () => {} };
  return (await planConfig(config, host)).plan.memory?.peak ?? 0;
}

/** One candidate through all graphs with the runtime's profiler on, against the cost model for the prompt's length. */
async function compareGraphs(
  dir: string,
  prompt: string,
  shape: { size?: string },
  profile: string,
): Promise<GraphRow[]> {
  const model = await readInfinity(dir, shape);
  const { manifest, schedule } = model;
  const traits = infinityTraits(model);
  const settings = resolveSettings(manifest.sampling, {}, schedule.scales.length);
  if (!existsSync(profile)) {
    const partial = `${profile}.partial`;
    await mkdir(partial, { recursive: true });
    const open = await openNetwork(dir, shape, { profile: partial, threads: Number(flags.threads) });
    const context = { network: open.network, code: open.code, traits, settings };
    const session = await startSession(context, { prompt, seed: 0 }, ["c0"]);
    while (session.stage < traits.stages.length) await session.step();
    await session.view([0], FULL_VIEW);
    await open.close();
    await rename(partial, profile);
  }
  const tokens = (await loadTokenizer(dir, manifest.architecture.textMaxLength)).encode(prompt).length;
  const { flops, architecture, graphs } = manifest;
  let past = 0;
  let step = 0;
  for (const { index, tokens: written } of traits.stages) {
    step += rowFlops(architecture, written, past, tokens) * (index < settings.guidanceUntil ? 2 : 1);
    past += written;
  }
  const estimates = {
    text_encoder: (flops.text * tokens) / flops.nominalTokens,
    condition: (flops.condition * tokens) / flops.nominalTokens,
    step,
    vae_decode: traits.cost.views.now!,
  };
  const rows: GraphRow[] = [];
  for (const [graph, estimated] of Object.entries(estimates)) {
    const found = await readGraphProfile(profile, graphs[graph as keyof typeof estimates].file);
    rows.push({ graph, estimated, counted: found.flops, ms: found.ms, operators: found.msByOperator });
  }
  return rows;
}

await main();

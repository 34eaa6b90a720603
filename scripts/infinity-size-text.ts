import type { GraphRow, SizeRun } from "./infinity-size.ts";

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
const tera = (flops: number): string => (flops / 1e12).toFixed(4);
const seconds = (ms: number): string => (ms / 1000).toFixed(1);

/** The page of a run: what was run, what it took, and how far the estimates were off. */
export function describeSizeRun(run: SizeRun): string {
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

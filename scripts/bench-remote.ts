import { cpus, loadavg } from "node:os";
import { FULL_VIEW, type Generator } from "../src/core/generator.ts";
import { infinityDefinition } from "../src/generators/next-scale/infinity/definition.ts";
import { remoteDefinition } from "../src/generators/remote/definition.ts";
import { serveOverHttp } from "../src/generators/remote/serve.ts";
import { embeddedModelPath } from "../src/inference/folder/model-folder.ts";
import { versions } from "../src/run/versions.ts";

// `npx tsx scripts/bench-remote.ts [ROUNDS] [WIDTH] [URL]`: what a call costs over HTTP on loopback compared with the
// same generator in this process, per call, as one JSON object on stdout. With URL, a server that already runs (such as
// training/serve_infinity.py --embedded) is timed as well. All take turns, so that a busy machine slows them alike.

const rounds = Number(process.argv[2] ?? 15);
const width = Number(process.argv[3] ?? 4);
const url = process.argv[4];

const PROMPT = "a photo of a blue dog and a red umbrella";

const local = await infinityDefinition(await embeddedModelPath("generator")).open();
const served = await serveOverHttp(local);
const generators: Record<string, Generator> = {
  inProcess: local,
  loopback: await remoteDefinition(served.url, {}).open(),
  ...(url === undefined ? {} : { server: await remoteDefinition(url).open() }),
};

type Timings = Map<string, number[]>;

/** One session through all stages; milliseconds of every call by its name. */
async function measure(generator: Generator, seed: number, into: Timings): Promise<void> {
  const time = async <T>(call: string, work: () => Promise<T>): Promise<T> => {
    const begun = performance.now();
    const result = await work();
    into.set(call, [...(into.get(call) ?? []), performance.now() - begun]);
    return result;
  };
  const ids = Array.from({ length: width }, (_, index) => `c${index}`);
  const rows = ids.map((_, row) => row);
  const same = ids.map((id, parent) => ({ parent, id }));
  // Another seed each round draws other images; the prompt stays, so its conditioning is remembered everywhere.
  const session = await time("start", () => generator.start({ prompt: PROMPT, seed }, ids));
  for (const { index } of generator.traits.stages) {
    await time(`step.${index}`, () => session.step());
    if (index === 3) await time("select", () => session.select(same));
  }
  await time("view.half", () => session.view(rows, { size: 0.5, look: "now" }));
  await time("view.full", () => session.view(rows, FULL_VIEW));
  await time("tokens", () => session.tokens([0], 0));
  (await time("branch", () => session.branch(same))).release();
  session.release();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

const names = Object.keys(generators);
const timings = new Map(names.map((name) => [name, new Map<string, number[]>()]));
const before = loadavg();
for (let round = -2; round < rounds; round++) {
  for (const name of names) {
    // The first rounds warm up and are not counted.
    await measure(generators[name]!, round, round < 0 ? new Map() : timings.get(name)!);
  }
}
const digits = (value: number): number => Math.round(value * 100) / 100;
const summaries = (pick: (values: readonly number[]) => number) =>
  names.map((name) => {
    const perCall = [...timings.get(name)!].map(([call, values]) => [call, pick(values)] as const);
    const whole = perCall.reduce((sum, [, ms]) => sum + ms, 0);
    return [name, new Map([...perCall, ["whole session", whole]])] as const;
  });
/** Per call: milliseconds of every generator, and what HTTP adds. */
const table = (pick: (values: readonly number[]) => number) => {
  const columns = new Map(summaries(pick));
  return [...columns.get("inProcess")!.keys()].map((call) => {
    const cells = names.map((name) => [name, digits(columns.get(name)!.get(call)!)] as const);
    const { inProcess, loopback } = Object.fromEntries(cells) as Record<string, number>;
    return { call, ...Object.fromEntries(cells), overhead: digits(loopback! - inProcess!) };
  });
};
console.log(
  JSON.stringify(
    {
      schemaVersion: 1,
      rounds,
      width,
      machine: { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length },
      loadAverage: { before, after: loadavg() },
      versions: versions(),
      // On a busy machine the minimum is what the calls cost, the median what the neighbours do to them.
      minMs: table((values) => Math.min(...values)),
      medianMs: table(median),
    },
    null,
    2,
  ),
);
for (const generator of Object.values(generators))
  if (generator !== local) await generator[Symbol.asyncDispose]();
await served[Symbol.asyncDispose]();
await local[Symbol.asyncDispose]();

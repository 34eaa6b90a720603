import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRng } from "../src/core/rng.ts";
import {
  childrenOf,
  countRecords,
  folderHashes,
  kill,
  type Running,
  runCli,
  startCli,
  toySearch,
  untilRecords,
} from "../test/e2e/support/geneval-processes.ts";
import { findQueueServers, type ServerKind } from "../test/e2e/support/queue-servers.ts";

// `npx tsx scripts/crash-test.ts [MOMENTS] [SEED]`: kills (SIGKILL) workers, the coordinator or the queue's server at random
// moments of a run, restarts what a user would restart, and compares the final folder with that of an undisturbed run. Once with
// worker processes, once with each queue server that can be had. Exit code 1 if a file differs, is missing or is left over.

const moments = Number(process.argv[2] ?? 20);
const seed = process.argv[3] ?? "0";
const prompts = 120;
const samples = 2;
const total = prompts * samples;

const dir = await mkdtemp(join(tmpdir(), "tts-var-crash-"));
const generate = (out: string, ...more: readonly string[]): string[] => [
  ...["geneval", "generate", "--prompts", String(prompts), "--samples", String(samples)],
  ...["--out", join(dir, out), ...toySearch, ...more],
];
const draw = createRng(seed, "crash-test").stream("stats", "moments", 0);

function expectSame(found: Record<string, string>, wanted: Record<string, string>, what: string): void {
  const names = [...new Set([...Object.keys(found), ...Object.keys(wanted)])];
  const differing = names.filter((name) => found[name] !== wanted[name]);
  if (differing.length > 0)
    throw new Error(`${what}: ${differing.length} files differ, first ${differing[0]}`);
  console.log(`${what}: all ${names.length} files are those of the undisturbed run`);
}

/** Kills at `count` moments spread over the run; `strike` does it and returns the coordinator that goes on. */
async function disturb(
  out: string,
  begin: () => Running,
  strike: (moment: number, coordinator: Running) => Promise<Running>,
): Promise<void> {
  let coordinator = begin();
  for (let moment = 0; moment < moments; moment++) {
    const done = await countRecords(join(dir, out));
    // Of what is left, a share that leaves something for the moments to come.
    const target = done + Math.ceil(((total - done) / (moments - moment + 1)) * 2 * draw.uniform(moment * 2));
    await untilRecords(join(dir, out), Math.min(target, total - 1), coordinator);
    coordinator = await strike(moment, coordinator);
  }
  const code = await coordinator.ended;
  if (code !== 0) throw new Error(`the last coordinator ended with ${code}: ${coordinator.stderr()}`);
}

async function withWorkerProcesses(): Promise<void> {
  const begin = (): Running => startCli(generate("processes", "--workers", "2"));
  await disturb("processes", begin, async (moment, coordinator) => {
    const workers = await childrenOf(coordinator.child.pid!);
    if (draw.uniform(moment * 2 + 1) < 0.5 && workers.length > 0) {
      process.kill(workers[moment % workers.length]!, "SIGKILL");
      console.log(`moment ${moment + 1}: killed a worker`);
      return coordinator;
    }
    await kill(coordinator);
    console.log(`moment ${moment + 1}: killed the coordinator`);
    return begin();
  });
}

async function withQueue({ name, open }: ServerKind): Promise<void> {
  const home = join(dir, `${name}-server`);
  await mkdir(home);
  const { url, start } = await open(home);
  let server = await start();
  const startWorker = (): Running => startCli(["worker", "--queue", url, "--lock-seconds", "2", "--quiet"]);
  const workers = [startWorker(), startWorker()];
  const begin = (): Running => startCli(generate(name, "--queue", url));
  try {
    await disturb(name, begin, async (moment, coordinator) => {
      const kind = Math.floor(draw.uniform(moment * 2 + 1) * 3);
      if (kind === 0) {
        const index = moment % workers.length;
        await kill(workers[index]!);
        workers[index] = startWorker();
      } else if (kind === 1) {
        await kill(server);
        server = await start();
      } else {
        await kill(coordinator);
      }
      console.log(`moment ${moment + 1}: killed ${["a worker", name, "the coordinator"][kind]}`);
      return kind === 2 ? begin() : coordinator;
    });
  } finally {
    for (const running of [...workers, server]) await kill(running);
  }
}

try {
  const outcome = await runCli(generate("reference", "--workers", "0"));
  if (outcome.code !== 0) throw new Error(outcome.stderr);
  const reference = await folderHashes(join(dir, "reference"));
  await withWorkerProcesses();
  expectSame(await folderHashes(join(dir, "processes")), reference, `worker processes, ${moments} kills`);
  for (const kind of await findQueueServers()) {
    await withQueue(kind);
    expectSame(await folderHashes(join(dir, kind.name)), reference, `${kind.name}, ${moments} kills`);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}

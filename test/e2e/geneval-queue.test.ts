import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  folderHashes,
  freePort,
  kill,
  type Running,
  startCli,
  startRedis,
  toySearch,
  untilRecords,
} from "./support/geneval-processes.ts";
import { runHere } from "./support/run-here.ts";

const patience = { timeout: 240_000 };
let dir: string;
let port: number;
let url: string;
let reference: Record<string, string>;
const started: Running[] = [];

const generate = (out: string, ...more: readonly string[]): string[] => [
  ...["geneval", "generate", "--prompts", "40", "--samples", "2", "--out", join(dir, out)],
  ...toySearch,
  ...more,
];
const queued = (out: string, name: string, ...more: readonly string[]): string[] =>
  generate(out, "--queue", url, "--queue-name", name, ...more);

function start(argv: readonly string[]): Running {
  const running = startCli(argv);
  started.push(running);
  return running;
}
const startWorker = (name: string): Running =>
  start(["worker", "--queue", url, "--queue-name", name, "--lock-seconds", "2", "--quiet"]);
async function startServer(): Promise<Running> {
  const server = await startRedis(port, dir);
  started.push(server);
  return server;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-queue-"));
  port = await freePort();
  url = `redis://127.0.0.1:${port}`;
  expect((await runHere(generate("reference", "--workers", "0"))).code).toBe(0);
  reference = await folderHashes(join(dir, "reference"));
}, 120_000);
afterEach(async () => {
  for (const running of started.splice(0)) {
    if (running.child.exitCode === null && running.child.signalCode === null) await kill(running);
  }
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("BullMQ on Redis", patience, () => {
  it("gives the folder of an in-process run although a worker, Redis and the coordinator are killed", async () => {
    const server = await startServer();
    const [first] = [startWorker("kills"), startWorker("kills")];
    const out = join(dir, "kills");
    const coordinator = start(queued("kills", "kills"));

    await untilRecords(out, 10, coordinator);
    await kill(first!);
    await untilRecords(out, 25, coordinator);
    // Redis keeps nothing on disk here: whatever it held is gone.
    await kill(server);
    await startServer();
    await untilRecords(out, 45, coordinator);
    await kill(coordinator);

    const again = start(queued("kills", "kills"));
    expect(await again.ended, again.stderr()).toBe(0);
    expect(await folderHashes(out)).toEqual(reference);
  });

  it("can leave the files to the workers", async () => {
    await startServer();
    startWorker("shared");
    const shared = start(queued("shared", "shared", "--results", "shared"));
    expect(await shared.ended, shared.stderr()).toBe(0);
    expect(await folderHashes(join(dir, "shared"))).toEqual(reference);
  });
});

describe("mistakes", () => {
  it.each<[string, string[], RegExp]>([
    ["a bad URL", ["--queue", "http://localhost"], /must look like redis:\/\/host:6379/],
    [
      "--workers beside --queue",
      ["--queue", "redis://127.0.0.1:1", "--workers", "2"],
      /start `tts-var worker` instead/,
    ],
    ["another way of delivery", ["--results", "mail"], /--results mail: must be queue or shared/],
    ["a shared folder without a queue", ["--results", "shared"], /belong to --queue/],
  ])("%s", async (_what, more, message) => {
    const outcome = await runHere(generate("mistake", ...more));
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(2);
  });
});

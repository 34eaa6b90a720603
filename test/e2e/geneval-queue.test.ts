import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cutConnections } from "./support/cut-connections.ts";
import {
  describeProgram,
  folderHashes,
  kill,
  type Running,
  startCli,
  toySearch,
  untilRecords,
} from "./support/geneval-processes.ts";
import { findQueueServers, type TestServer } from "./support/queue-servers.ts";
import { runHere } from "./support/run-here.ts";

const patience = { timeout: 240_000 };
const kinds = await findQueueServers();
let dir: string;
let reference: Record<string, string>;
const started: Running[] = [];

const generate = (out: string, ...more: readonly string[]): string[] => [
  ...["geneval", "generate", "--prompts", "40", "--samples", "2", "--out", join(dir, out)],
  ...toySearch,
  ...["--reward", join(dir, "stumbling.mjs")],
  ...more,
];

/** A reward that fails when it is first asked after the file `stumbled` beside it was removed, as a server may. */
const stumbling = `
import { existsSync, writeFileSync } from "node:fs";
const mark = new URL("stumbled", import.meta.url);
export default (batch) => {
  const again = existsSync(mark);
  writeFileSync(mark, "");
  if (!again) throw new Error("stumbled");
  return batch.map(({ image }) => image.data.reduce((sum, value) => sum + value, 0));
};
`;
const stumble = () => rm(join(dir, "stumbled"), { force: true });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-queue-"));
  await writeFile(join(dir, "stumbling.mjs"), stumbling);
  expect((await runHere(generate("reference", "--workers", "0"))).code).toBe(0);
  reference = await folderHashes(join(dir, "reference"));
}, 120_000);
afterEach(async ({ task }) => {
  const all = started.splice(0);
  // Also of a test that waited until its time was up.
  if (task.result?.state === "fail")
    for (const running of all) process.stderr.write(describeProgram(running));
  for (const running of all) {
    if (running.child.exitCode === null && running.child.signalCode === null) await kill(running);
  }
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe.each(kinds)("BullMQ on $name", patience, ({ name, open }) => {
  let server: TestServer;
  beforeAll(async () => {
    const home = join(dir, `${name}-server`);
    await mkdir(home);
    await chmod(dir, 0o711);
    server = await open(home);
  }, 120_000);

  function start(argv: readonly string[]): Running {
    const running = startCli(argv);
    started.push(running);
    return running;
  }
  const startWorker = (queue: string, url = server.url): Running =>
    start(["worker", "--queue", url, "--queue-name", queue, "--lock-seconds", "2", "--quiet"]);
  async function startServer(): Promise<Running> {
    const running = await server.start();
    started.push(running);
    return running;
  }
  const folder = (queue: string): string => `${name}-${queue}`;
  const queued = (queue: string, ...more: readonly string[]): string[] =>
    generate(folder(queue), "--queue", server.url, "--queue-name", queue, ...more);

  it("gives the folder of an in-process run although a worker, the server and the coordinator are killed", async () => {
    const first = await startServer();
    const [worker] = [startWorker("kills"), startWorker("kills")];
    const out = join(dir, folder("kills"));
    const coordinator = start(queued("kills"));

    await untilRecords(out, 10, coordinator);
    await kill(worker!);
    await untilRecords(out, 25, coordinator);
    await kill(first);
    await startServer();
    await untilRecords(out, 45, coordinator);
    await kill(coordinator);

    const again = start(queued("kills"));
    expect(await again.ended, again.stderr()).toBe(0);
    expect(await folderHashes(out)).toEqual(reference);
  });

  it("can leave the files to the workers, and a job that fails at first to its next attempt", async () => {
    await startServer();
    await stumble();
    startWorker("shared");
    const shared = start(queued("shared", "--results", "shared"));
    expect(await shared.ended, shared.stderr()).toBe(0);
    expect(await folderHashes(join(dir, folder("shared")))).toEqual(reference);
  });

  it("waits for a server that is started last, and for lost connections", async () => {
    // The first one lays the tables in PostgreSQL, the next ones serve.
    await using proxy = await cutConnections(server.url, [1, 2]);
    startWorker("late", proxy.url);
    await stumble();
    const late = start(queued("late"));
    await new Promise((next) => setTimeout(next, 1500));
    await startServer();
    expect(await late.ended, late.stderr()).toBe(0);
    expect(await folderHashes(join(dir, folder("late")))).toEqual(reference);
    expect(proxy.cut).toBe(2);
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

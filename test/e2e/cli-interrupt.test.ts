import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readRunRecord, readTrace } from "../../src/run/run-folder.ts";
import { countRecords } from "./support/geneval-processes.ts";
import { shell, start, traced, until } from "./support/process.ts";

// Processes of a busy machine may take long; nothing here is expected to.
vi.setConfig({ testTimeout: 240_000 });

let dir: string;
/** Accepts connections and never answers. */
let silent: Server;
let address: string;
let asked: () => Promise<void>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-interrupt-"));
  silent = createServer();
  await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
  const { port } = silent.address() as { port: number };
  address = `127.0.0.1:${port}`;
  asked = () => new Promise((done) => silent.once("connection", () => done()));
});
afterAll(async () => {
  silent.close();
  await rm(dir, { recursive: true, force: true });
});

const search = ["search", "-p", "a photo of a dog", "--sheet", "none", "--report", "none"];

describe("one signal ends a search while the runtime computes", () => {
  // Where it comes is up to the machine; none of the places may end in SIGABRT.
  const moments = Array.from({ length: 8 }, (_, index) => ({
    index,
    signal: index % 2 === 0 ? ("SIGINT" as const) : ("SIGTERM" as const),
    event: index < 6 ? "step" : "begin",
  }));
  it.each(moments)("%j", async ({ index, signal, event }) => {
    const out = `run${index}`;
    const { child, ended } = start(dir, [...search, "-b", "200", "--strategy", "best-of-n", "--out", out]);
    await until(() => traced(join(dir, out), event));
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    expect([code, stdout]).toEqual([signal === "SIGINT" ? 130 : 143, ""]);
    expect(stderr).toContain(`interrupted by ${signal}`);
    expect(stderr).not.toMatch(/terminate called|Napi/);
    const record = await readRunRecord(join(dir, out));
    expect([record.status, record.error?.code]).toEqual(["aborted", "INTERRUPTED"]);
    expect((await readTrace(join(dir, out))).tornTail).toBe(false);
    expect((await readdir(join(dir, out))).filter((name) => name.startsWith("."))).toEqual([]);
  });
});

describe("one signal ends whatever a command waits for", () => {
  const pickscore = ["--reward", "pickscore", "--set", "reward.options.model=owner/pick", "--allow-download"];
  it.each([
    ["a hub", () => [...search, "-b", "1", "--strategy", "single", ...pickscore]],
    ["a generator's server", () => [...search, "-b", "1", "--model", `http://${address}`]],
    ["a queue, as worker", () => ["worker", "--queue", `redis://${address}`]],
    [
      "a queue, as coordinator",
      () =>
        ["geneval", "generate", "--prompts", "6", "--samples", "1", "-b", "1", "--strategy", "single"].concat(
          [...["--queue", `redis://${address}`, "--out", "queued"]],
        ),
    ],
  ])("%s", async (_what, argv) => {
    const connected = asked();
    const { child, ended } = start(dir, argv(), {
      HF_ENDPOINT: `http://${address}`,
      TTS_VAR_CACHE: join(dir, "cache"),
    });
    await connected;
    child.kill("SIGTERM");
    expect((await ended).code).toBe(143);
  });

  it("a pipe that nobody reads", async () => {
    await shell(dir, "mkfifo unread");
    const { child, ended } = start(dir, ["geneval", "prompts", "--count", "6", "--out", "unread"]);
    // Nothing tells that it waits; a signal that comes before it does has the same right to end it.
    await new Promise((next) => setTimeout(next, 3000));
    child.kill("SIGTERM");
    expect((await ended).code).toBe(143);
  });
});

describe("worker processes", () => {
  it("end with their coordinator, without a word", async () => {
    const argv = [
      "geneval",
      "generate",
      "--prompts",
      "60",
      "--samples",
      "1",
      "-b",
      "2",
      "--strategy",
      "best-of-n",
    ];
    const { child, ended } = start(dir, [...argv, "--workers", "2", "--out", "workers"]);
    await until(async () => (await countRecords(join(dir, "workers"))) > 0);
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(code).toBe(130);
    expect(stderr).not.toMatch(/terminate called|Napi|worker process ended/);
    expect(await readdir(join(dir, "workers"))).not.toContain(".tts-var.lock");
  });
});

describe("the two streams", () => {
  it("stderr may be closed or full: the work goes on", async () => {
    const toy = `--model toy --reward '${resolve("test/fixtures/brightness.mjs")}'`;
    const line = `tv search -p "a photo of a spaceship" -b 2 --strategy best-of-n ${toy} --sheet none --out`;
    const closed = await shell(dir, `${line} closed 2>&1 >/dev/null | head -c 0; echo \${PIPESTATUS[0]}`);
    const full = await shell(dir, `${line} full 2>/dev/full >/dev/null; echo $?`);
    expect([closed.stdout, full.stdout]).toEqual(["0\n", "0\n"]);
    for (const out of ["closed", "full"]) expect((await readRunRecord(join(dir, out))).status).toBe("done");
  });

  it("stdout on a full disk ends with 1 and the reason; a reader who has seen enough is none", async () => {
    for (const argv of ["list strategies", "--help", "geneval prompts --count 6", "list models --json"]) {
      const { code, stderr } = await shell(dir, `tv ${argv} >/dev/full`);
      expect([argv, code]).toEqual([argv, 1]);
      expect(stderr).toMatch(/cannot write the results to stdout \(ENOSPC\): the disk is full/);
    }
    const { stdout } = await shell(dir, `tv geneval prompts --count 500 | head -n 1; echo \${PIPESTATUS[0]}`);
    expect(stdout).toMatch(/^\{"tag".*\}\n0\n$/);
  });
});

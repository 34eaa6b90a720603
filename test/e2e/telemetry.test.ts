import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { program } from "./support/program.ts";

/**
 * ONNX Runtime leaves files in the home, temporary and working folders and calls a collector, unless it is told not to.
 * It honours HTTPS_PROXY, so that a proxy of our own sees every call without any name being looked up.
 */

let dir: string;
let proxy: Server;
let calls: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-telemetry-"));
  for (const name of ["home", "tmp", "work"]) await mkdir(join(dir, name));
  calls = [];
  proxy = createServer((socket) => {
    socket.on("data", (data) => calls.push(data.toString("latin1"))).on("error", () => undefined);
    socket.once("data", () => socket.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
});
afterEach(async () => {
  proxy.close();
  await rm(dir, { recursive: true });
});

/** Runs Node in the watched folders. Its environment is bare: the runtime is quiet by itself under known CI services. */
function run(argv: readonly string[], more: NodeJS.ProcessEnv = {}) {
  const at = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const folders = { HOME: join(dir, "home"), TMPDIR: join(dir, "tmp") };
  const env = { PATH: process.env["PATH"], ...folders, HTTPS_PROXY: at, https_proxy: at, ...more };
  const options = { cwd: join(dir, "work"), env, maxBuffer: 2 ** 26 };
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((done) => {
    const child = execFile(process.execPath, [...argv], options, (_error, stdout, stderr) =>
      done({ code: child.exitCode, stdout, stderr }),
    );
  });
}

/** What was left in the watched folders, besides results and what the loader of TypeScript keeps. */
async function traces(): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .filter((path) => !/^tmp\/(tsx-|node-compile-cache)|^work\/out\//.test(path));
}

const single = [
  "--budget",
  "1",
  "--strategy",
  "single",
  "--sheet",
  "none",
  "--report",
  "none",
  "--out",
  "out",
  "--quiet",
];

describe("telemetry of the runtime", { timeout: 240_000 }, () => {
  it("would be seen here", async () => {
    const graph = resolve("test/fixtures/models/pickscore-tiny/onnx/vision_model.onnx");
    const runtime = resolve("node_modules/onnxruntime-node");
    const raw = `require(process.argv[1]).InferenceSession.create(process.argv[2])`;
    const { code } = await run(["-e", raw, runtime, graph]);
    expect(code).toBe(0);
    expect((await traces()).join("\n")).toMatch(/home\/.*deviceid/);
  });

  it("is silent in a search, whose command line may be as long as the longest prompt", async () => {
    const prompt = "a photo of a dog and ".repeat(5000).slice(0, 100_000);
    const { code, stderr } = await run([program, "search", "-p", prompt, ...single]);
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^warning: the prompt has \d+ tokens; the model reads the first 32 .*\n$/),
    ]);
    expect([await traces(), calls]).toEqual([[], []]);
  });

  it("is silent where the home folder cannot be written", async () => {
    const { code, stderr } = await run([program, "search", "-p", "a photo of a dog", ...single], {
      HOME: "/proc",
    });
    expect([code, stderr]).toEqual([0, ""]);
    expect([await traces(), calls]).toEqual([[], []]);
  });

  it("is silent in worker processes", async () => {
    const search = ["--strategy", "single", "--budget", "1", "--workers", "2", "--out", "out"];
    const argv = ["geneval", "generate", "--prompts", "2", "--samples", "1", ...search];
    expect(await run([program, ...argv])).toMatchObject({ code: 0, stdout: "2 images in out\n" });
    expect([await traces(), calls]).toEqual([[], []]);
  });

  it("is refused in a thread that cannot switch it off, and silent once its program has", async () => {
    const script = resolve("test/fixtures/draw-in-thread.mjs");
    const { stdout } = await run([script]);
    expect(stdout).toMatch(
      /^MODEL_RUNTIME .*set process\.env\.ORT_DISABLE_TELEMETRY = "1" in the main thread/,
    );
    expect((await run([script], { ORT_DISABLE_TELEMETRY: "1" })).stdout).toBe("opened");
    expect([await traces(), calls]).toEqual([[], []]);
  });
});

import { createHash } from "node:crypto";
import { once } from "node:events";
import { statSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { pixelHash } from "../../src/core/image.ts";
import { decodePng } from "../../src/io/png.ts";
import { runHere } from "./support/run-here.ts";

const model = resolve("test/fixtures/models/janus-tiny");
const id = "someone/Janus-tiny-ONNX";
const revision = "0123456789abcdef0123456789abcdef01234567";

let dir: string;
let hub: Server;
let asked: string[] = [];
/** The language model breaks off after so many bytes, once. */
let cutAfter: number | null = 40_000;
let damaged = false;

const byName = (a: { rfilename: string }, b: { rfilename: string }) => (a.rfilename < b.rfilename ? -1 : 1);

/** The listing as the hub gives it: large files by SHA-256, small ones by git's hash, and some that nobody needs. */
async function listing() {
  const entries = await readdir(model, { recursive: true, withFileTypes: true });
  const siblings = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const content = await readFile(path);
      const hash = (kind: string) => createHash(kind);
      const blobId = hash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
      const sha256 = hash("sha256").update(content).digest("hex");
      const large = path.endsWith(".onnx") ? { lfs: { sha256, size: content.length } } : {};
      return { rfilename: relative(model, path), size: content.length, blobId, ...large };
    });
  const unneeded = [{ rfilename: "pytorch_model.bin", size: 4e9 }];
  return {
    sha: revision,
    cardData: { license: "mit" },
    siblings: [...(await Promise.all(siblings)).sort(byName), ...unneeded],
  };
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-janus-"));
  hub = createServer(async ({ url = "", headers }, response) => {
    asked.push(
      `${url.replace(`/${id}/resolve/${revision}/`, "")}${headers.range ? ` ${headers.range}` : ""}`,
    );
    if (url.startsWith(`/api/models/${id}/revision/main`)) {
      response.end(JSON.stringify(await listing()));
      return;
    }
    const path = url.replace(`/${id}/resolve/${revision}/`, "");
    const content = await readFile(join(model, path));
    if (damaged && path.endsWith("prepare_inputs_embeds.onnx")) content[1000]! ^= 1;
    const from = Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { "content-length": content.length - from });
    if (path.endsWith("language_model.onnx") && cutAfter !== null) {
      response.write(content.subarray(0, cutAfter));
      cutAfter = null;
      const part = join(dir, "cache/hub/someone--Janus-tiny-ONNX/main", `${path}.part`);
      await vi.waitUntil(() => (statSync(part, { throwIfNoEntry: false })?.size ?? 0) > 0, {
        timeout: 60_000,
      });
      response.destroy();
    } else response.end(content.subarray(from));
  });
  hub.listen(0, "127.0.0.1");
  await once(hub, "listening");
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  hub.closeAllConnections();
  hub.close();
  await rm(dir, { recursive: true });
});

/** `tts-var search` as a user runs it. */
function search(out: string, model: string, flags: readonly string[] = [], env: Record<string, string> = {}) {
  const port = (hub.address() as AddressInfo).port;
  const all = { HF_ENDPOINT: `http://127.0.0.1:${port}`, TTS_VAR_CACHE: join(dir, "cache"), ...env };
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
  const argv = [
    "search",
    "-p",
    "a photo of a dog",
    "--model",
    model,
    "--strategy",
    "best-of-n",
    "--budget",
    "2",
  ];
  const reward = ["--reward", resolve("test/fixtures/brightness.mjs"), "--out", join(dir, out), "--json"];
  return runHere([...argv, ...reward, ...flags]);
}
const picture = async (out: string): Promise<string> =>
  pixelHash(await decodePng(join(dir, out, "best.png")));

test("a Janus model by its name on the hub: fetched once, resumed, checked, then offline", {
  timeout: 300_000,
}, async () => {
  const refused = await search("refused", id);
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining("add --allow-download")]);
  expect(asked).toEqual([]);

  const broken = await search("broken", id, ["--allow-download"]);
  expect([broken.code, broken.stderr]).toEqual([
    3,
    expect.stringMatching(/broke off; run the command again/),
  ]);

  damaged = true;
  const wrong = await search("wrong", id, ["--allow-download"]);
  expect([wrong.code, wrong.stderr]).toEqual([
    3,
    expect.stringMatching(/prepare_inputs_embeds\.onnx arrived damaged/),
  ]);
  expect(asked.some((request) => /language_model\.onnx bytes=\d+-/.test(request))).toBe(true);

  damaged = false;
  const fetched = await search("fetched", id, ["--allow-download"]);
  expect([fetched.code, fetched.stderr]).toEqual([0, expect.stringMatching(/licence mit/)]);
  // Five graphs of one precision and the texts; not the text head, other precisions, or other frameworks' weights.
  expect(asked.some((request) => /lm_head|_fp16|pytorch/.test(request))).toBe(false);

  asked = [];
  const offline = await search("offline", id, [], { HF_ENDPOINT: "http://127.0.0.1:1" });
  expect(offline.code).toBe(0);
  expect(asked).toEqual([]);
  const local = await search("local", model);
  expect(local.code).toBe(0);
  expect(await picture("offline")).toBe(await picture("fetched"));
  expect(await picture("local")).toBe(await picture("fetched"));
});

test("another precision is fetched when it is asked for, and only what it adds", {
  timeout: 300_000,
}, async () => {
  const half = ["--set", "model.options.dtype=fp16"];
  const lacking = await search("lacking", id, half);
  expect([lacking.code, lacking.stderr]).toEqual([
    3,
    expect.stringMatching(/lacks .*_fp16\.onnx.*--allow-download/),
  ]);
  asked = [];
  expect((await search("half", id, [...half, "--allow-download"])).code).toBe(0);
  expect(asked.filter((request) => request.endsWith(".onnx")).sort()).toEqual([
    "onnx/gen_head_fp16.onnx",
    "onnx/language_model_fp16.onnx",
  ]);
});

test("a hub behind a proxy that Node does not use says how to make it", { timeout: 300_000 }, async () => {
  const env = {
    TTS_VAR_CACHE: join(dir, "none"),
    HF_ENDPOINT: "http://127.0.0.1:1",
    HTTPS_PROXY: "http://127.0.0.1:2",
  };
  const { code, stderr } = await search("proxied", id, ["--allow-download"], env);
  expect([code, stderr]).toEqual([
    3,
    expect.stringMatching(/HTTPS_PROXY is honoured with NODE_USE_ENV_PROXY=1/),
  ]);
});

import { createHash } from "node:crypto";
import { once } from "node:events";
import { statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { hubFolder } from "../../src/inference/folder/hub.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { greyItems, rewardContext, rewardHost } from "../fixtures/reward-host.ts";

const model = fileURLToPath(new URL("../fixtures/models/pickscore-tiny", import.meta.url));
const revision = "0123456789abcdef0123456789abcdef01234567";

let server: Server;
let cache: string;
let requests: string[] = [];
/** Bytes after which the next download of the vision tower breaks off. */
let cutAfter = Number.POSITIVE_INFINITY;
let damaged = false;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "tts-var-hub-"));
  requests = [];
  [cutAfter, damaged] = [Number.POSITIVE_INFINITY, false];
  server = createServer(async ({ url, headers }, response) => {
    requests.push(`${url}${headers.range ? ` ${headers.range}` : ""}`);
    if (url === "/api/models/someone/pickscore/revision/main?blobs=true") {
      response.end(
        JSON.stringify({ sha: revision, cardData: { license: "mit" }, siblings: await siblings() }),
      );
      return;
    }
    const path = url!.replace(`/someone/pickscore/resolve/${revision}/`, "");
    const content = await readFile(join(model, path)).catch(() => null);
    if (!content) {
      response.writeHead(404).end("no such model");
      return;
    }
    if (damaged && path.endsWith("text_model.onnx")) content[100]! ^= 1;
    const from = Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { "content-length": content.length - from });
    if (path.endsWith("vision_model.onnx") && cutAfter < content.length) {
      response.write(content.subarray(from, cutAfter));
      cutAfter = Number.POSITIVE_INFINITY;
      const part = join(cache, "hub/someone--pickscore/main", `${path}.part`);
      await vi.waitUntil(() => (statSync(part, { throwIfNoEntry: false })?.size ?? 0) > 0, {
        timeout: 20_000,
      });
      response.destroy();
    } else response.end(content.subarray(from));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  vi.stubEnv("HF_ENDPOINT", `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  vi.stubEnv("TTS_VAR_CACHE", cache);
});

afterEach(async () => {
  server.close();
  await rm(cache, { recursive: true });
});
afterAll(() => vi.unstubAllEnvs());

/** The listing as the hub gives it: large files by SHA-256, small ones by git's hash, and some that nobody needs. */
async function siblings() {
  const entries = await readdir(model, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((e) => relative(model, join(e.parentPath, e.name)));
  const listed = files.map(async (path) => {
    const content = await readFile(join(model, path));
    const git = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    const sha256 = createHash("sha256").update(content).digest("hex");
    const large = path.endsWith(".onnx") ? { lfs: { sha256, size: content.length } } : {};
    return { rfilename: path, size: content.length, blobId: git, ...large };
  });
  return [...(await Promise.all(listed)), { rfilename: "pytorch_model.bin", size: 4e9 }];
}

const scored = async (host = rewardHost(".", true)) => {
  const { value } = await loadReward("pickscore", { model: "someone/pickscore" }, host);
  const { scores } = await value.score(greyItems([10, 200]), rewardContext());
  await value[Symbol.asyncDispose]();
  return { scores: Array.from(scores), host };
};

test("a hub id is fetched once, with its size, licence and hashes shown, and then works offline", async () => {
  await expect(scored(rewardHost("."))).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    message: expect.stringContaining("--allow-download"),
  });
  expect(requests).toEqual([]);
  const { scores, host } = await scored();
  expect(scores[0]).not.toBe(scores[1]);
  expect(host.lines[0]).toMatch(
    /downloading someone\/pickscore \(revision 0123.*, licence mit\): \d files, 0\.\d MB/,
  );
  expect(host.lines.join("\n")).toMatch(/onnx\/vision_model\.onnx: \d+ bytes, sha256 [0-9a-f]{64}/);
  expect(requests.some((url) => url.includes("pytorch_model.bin"))).toBe(false);
  server.close();
  requests = [];
  expect((await scored(rewardHost("."))).scores).toEqual(scores);
  expect(requests).toEqual([]);
});

test("a download that broke off resumes where it stopped", async () => {
  cutAfter = 5000;
  const fetchIt = () =>
    hubFolder({
      id: "someone/pickscore",
      wanted: (path) => path.includes("onnx/vision"),
      allowDownload: true,
      log() {},
    });
  await expect(fetchIt()).rejects.toThrow(/broke off; run the command again to resume it/);
  const folder = await fetchIt();
  const part = requests.find((request) => request.includes(" bytes="))!;
  expect(Number(/bytes=(\d+)-/.exec(part)![1])).toBeGreaterThan(0);
  const [got, sent] = await Promise.all(
    [folder, model].map((dir) => readFile(join(dir, "onnx/vision_model.onnx"))),
  );
  expect(got!.equals(sent!)).toBe(true);
});

test("a cache that was damaged later is noticed, and mended when that is allowed", async () => {
  const { scores } = await scored();
  const cached = join(cache, "hub/someone--pickscore/main/onnx/vision_model.onnx");
  const content = await readFile(cached);
  content[content.length >> 1]! ^= 1;
  await writeFile(cached, content);
  await expect(scored(rewardHost("."))).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringMatching(/vision_model\.onnx has SHA-256 .*--allow-download to fetch it again/),
  });
  requests = [];
  expect((await scored()).scores).toEqual(scores);
  expect(requests.filter((url) => url.includes("/resolve/")).length).toBe(1);
  expect((await scored(rewardHost("."))).scores).toEqual(scores);
});

test("damaged files and unknown models are refused", async () => {
  damaged = true;
  await expect(scored()).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringContaining("damaged"),
  });
  damaged = false;
  expect((await scored()).scores.length).toBe(2);
  const absent = { id: "someone/else", wanted: () => true, allowDownload: true, log() {} };
  await expect(hubFolder(absent)).rejects.toThrow(/answered 404 for someone\/else.*check the id/);
  // A record of another tool's cache is not taken for ours.
  await mkdir(join(cache, "hub", "someone--third", "main"), { recursive: true });
  await writeFile(join(cache, "hub", "someone--third", "main", "hub.json"), "{}");
  await expect(hubFolder({ ...absent, id: "someone/third", allowDownload: false })).rejects.toThrow(
    /not on this machine/,
  );
});

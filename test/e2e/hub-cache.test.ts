import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type HubRequest, hubFolder } from "../../src/inference/folder/hub.ts";
import { whileClaimed } from "../../src/io/claim.ts";

const weights = Buffer.from("the weights of a model ".repeat(5000));
const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex");

let dir: string;
let server: Server;
let requests: string[];
let listed: number;
let lines: string[];
/** Answers a request for the file; the listing is always in order. */
let send: (response: ServerResponse, request: IncomingMessage) => void;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-hub-cache-"));
  [requests, lines, listed] = [[], [], weights.length];
  send = (response) => response.end(weights);
  server = createServer((request, response) => {
    requests.push(request.url ?? "");
    if (!request.url?.startsWith("/api/")) return send(response, request);
    const lfs = { sha256: sha256(weights), size: listed };
    // A repository may have a file of the name of our record.
    const siblings = [
      { rfilename: "model.onnx", lfs },
      { rfilename: "hub.json", size: 2 },
    ];
    response.end(JSON.stringify({ sha: "abc", siblings }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  vi.stubEnv("HF_ENDPOINT", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("TTS_VAR_CACHE", join(dir, "cache"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
  await rm(dir, { recursive: true });
});

const get = (more: Partial<HubRequest> = {}): Promise<string> =>
  hubFolder({
    id: "some/model",
    wanted: () => true,
    allowDownload: true,
    log: (_, message) => lines.push(message),
    ...more,
  });
const downloads = (): number => requests.filter((url) => url.includes("/resolve/")).length;
const folder = (): string => join(dir, "cache/hub/some--model/main");

describe("the cache of hub models", () => {
  it("is filled once, however many ask at the same time", async () => {
    const folders = await Promise.all([get(), get(), get()]);
    expect([new Set(folders).size, downloads()]).toEqual([1, 1]);
    expect(lines.filter((line) => line.startsWith("another process is fetching"))).toHaveLength(2);
    expect((await readdir(folders[0]!)).sort()).toEqual(["hub.json", "model.onnx"]);
  });

  it("is not held up by what a crash left behind", async () => {
    await mkdir(folder(), { recursive: true });
    // No process has a number as large as this.
    await writeFile(
      join(folder(), ".claim"),
      JSON.stringify({ program: "tts-var", host: hostname(), pid: 2 ** 30 }),
    );
    await writeFile(join(folder(), "model.onnx.part"), "another version of it");
    send = (response, request) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200).end(weights.subarray(from));
    };
    expect(await readFile(join(await get(), "model.onnx"))).toEqual(weights);
    expect(downloads(), "the remains did not fit, so it began anew").toBe(2);
    expect((await readdir(folder())).sort()).toEqual(["hub.json", "model.onnx"]);
  });

  it("repairs its record without fetching what is right", async () => {
    await get();
    const record = await readFile(join(folder(), "hub.json"), "utf8");
    for (const damage of [record.slice(0, 50), "", "null", "{}"]) {
      await writeFile(join(folder(), "hub.json"), damage);
      await expect(get({ allowDownload: false })).rejects.toMatchObject({
        code: damage.length === 50 || damage === "" ? "MODEL_INVALID" : "MODEL_NOT_FOUND",
        message: expect.stringMatching(
          /hub\.json is not valid JSON; add --allow-download|not on this machine/,
        ),
      });
      await get();
      expect(await readFile(join(folder(), "hub.json"), "utf8")).toBe(record);
    }
    expect(downloads()).toBe(1);
  });

  it("says where it cannot be written, and what to do", async () => {
    await writeFile(join(dir, "in-the-way"), "");
    for (const cache of ["/proc/none", join(dir, "in-the-way")]) {
      vi.stubEnv("TTS_VAR_CACHE", cache);
      await expect(get()).rejects.toMatchObject({
        code: "OUTPUT_UNWRITABLE",
        message: expect.stringMatching(/the model cache .* cannot be written \(E\w+\); set TTS_VAR_CACHE/),
      });
    }
    expect(requests).toEqual([]);
  });

  it("takes empty variables for variables that are not set", async () => {
    vi.stubEnv("TTS_VAR_CACHE", "");
    vi.stubEnv("XDG_CACHE_HOME", join(dir, "xdg"));
    expect(await get()).toBe(join(dir, "xdg/tts-var/hub/some--model/main"));
    vi.stubEnv("XDG_CACHE_HOME", "");
    vi.stubEnv("HOME", join(dir, "home"));
    expect(await get()).toBe(join(dir, "home/.cache/tts-var/hub/some--model/main"));
    vi.stubEnv("HF_ENDPOINT", "");
    await expect(get({ id: "some/other", allowDownload: false })).rejects.toThrow("https://huggingface.co");
  });
});

describe("a hub that misbehaves", () => {
  it("sends more than it announced", async () => {
    let sent = 0;
    send = (response) => {
      const more = (): void => {
        while (!response.destroyed) {
          sent += weights.length;
          if (!response.write(weights)) return void response.once("drain", more);
        }
      };
      more();
    };
    await expect(get()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining(`sends more than the ${weights.length} bytes`),
    });
    expect(sent).toBeLessThan(32 * 2 ** 20);
    send = (response) => response.end(weights);
    expect(await readFile(join(await get(), "model.onnx"))).toEqual(weights);
  });

  it("announces more than there is room for", async () => {
    listed = 2 ** 52;
    await expect(get()).rejects.toMatchObject({
      code: "OUTPUT_UNWRITABLE",
      message: expect.stringMatching(/has 4503599627\.4 MB, but only \d+\.\d MB are free/),
    });
    expect(downloads()).toBe(0);
  });

  it("falls silent, before the first byte or after it; what came is kept", async () => {
    send = () => undefined;
    await expect(get({ patienceMs: 100 })).rejects.toThrow(/broke off \(nothing came for 0\.1 s\)/);
    send = (response) => response.write(weights.subarray(0, 1000));
    await expect(get({ patienceMs: 300 })).rejects.toThrow(/nothing came for 0\.3 s.*to resume it/);
    let range: string | undefined;
    send = (response, request) => {
      range = request.headers.range;
      response.writeHead(206, { "content-range": `bytes 1000-${weights.length - 1}/${weights.length}` });
      response.end(weights.subarray(1000));
    };
    expect(await readFile(join(await get(), "model.onnx"))).toEqual(weights);
    expect(range).toBe("bytes=1000-");
  });

  it("is not waited for after an interrupt", async () => {
    const controller = new AbortController();
    send = () => controller.abort(new Error("interrupted"));
    await expect(get({ signal: controller.signal })).rejects.toThrow("interrupted");
    const waiting = new AbortController();
    const work = async () => {
      const second = get({ signal: waiting.signal, log: () => waiting.abort(new Error("no patience")) });
      await expect(second).rejects.toThrow("no patience");
    };
    await whileClaimed(join(folder(), ".claim"), work, { command: "test" });
  });

  it("may be out of reach because a proxy is not used", async () => {
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:1");
    vi.stubEnv("HTTPS_PROXY", "http://127.0.0.1:2");
    await expect(get()).rejects.toThrow(
      /cannot reach .*HTTPS_PROXY is honoured with NODE_USE_ENV_PROXY=1 only/,
    );
  });
});

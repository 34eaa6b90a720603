import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator, type GeneratorDefinition } from "../../src/core/generator.ts";
import { remoteDefinition } from "../../src/generators/remote/definition.ts";
import { serveOverHttp } from "../../src/generators/remote/serve.ts";
import { canvasDefinition } from "../../src/generators/toys/canvas.ts";
import { clipDefinition } from "../../src/generators/toys/clip.ts";
import { describeSampler, describeSamplerServer, openServed } from "../../src/testing/index.ts";

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const SYSTEMS = { canvas: canvasDefinition, clip: clipDefinition } satisfies Record<
  string,
  GeneratorDefinition
>;

for (const [name, definition] of Object.entries(SYSTEMS)) {
  describeSampler(`${name} behind HTTP`, async () => {
    const served = await serveOverHttp(await definition.open());
    const remote = await openServed(served.url);
    const close = async (): Promise<void> => {
      await remote[Symbol.asyncDispose]();
      await served[Symbol.asyncDispose]();
    };
    return { ...remote, [Symbol.asyncDispose]: close };
  });
  describeSamplerServer(name, async () => {
    const served = await serveOverHttp(await definition.open(), { limits: { rows: 8 } });
    return { url: served.url, token: undefined, close: async () => served[Symbol.asyncDispose]() };
  });
}

/** A server that answers a path with what it is told, and everything else like one that does not know it. */
async function answering(answers: Readonly<Record<string, unknown>>): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      const known = answers[request.url ?? ""];
      const unknown = { error: { code: "unknown-method", message: `${request.url} is not served` } };
      response.writeHead(known === undefined ? 404 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(known ?? unknown));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
  };
  open.push({ [Symbol.asyncDispose]: close });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a client of the protocol", () => {
  it("refuses servers of other versions by both names", async () => {
    const older = await answering({ "/v1/info": { protocol: "tts-var-sampler/1", name: "old" } });
    await expect(remoteDefinition(older, {}).describe()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("speaks tts-var-sampler/1, and this tts-var tts-var-sampler/2"),
    });
    const newer = await answering({ "/v2/info": { protocol: "tts-var-sampler/3" } });
    await expect(remoteDefinition(newer, {}).describe()).rejects.toThrow(
      "speaks tts-var-sampler/3, and this tts-var tts-var-sampler/2",
    );
    await expect(remoteDefinition(await answering({}), {}).describe()).rejects.toThrow(
      "/v2/info is not served",
    );
  });

  it("plans none of the server's memory, whatever that tells", async () => {
    const toy = await canvasDefinition.open();
    const memory = { weights: 1e12, prompt: 0, kept: [], working: [], view: { bytes: 0, atOnce: 1 } };
    const boastful: Generator = { ...toy, traits: { ...toy.traits, memory } };
    const served = await serveOverHttp(boastful);
    open.push(served);
    expect((await remoteDefinition(served.url, {}).describe()).memory).toBeNull();
  });

  it("finds the nearest shape itself, and says which ones there are", async () => {
    const { shape } = await canvasDefinition.describe();
    const served = await serveOverHttp(await canvasDefinition.open());
    open.push(served);
    const size = `${shape.width}x${shape.height}`;
    expect((await remoteDefinition(served.url, {}).describe({ shape: { size } })).shape).toEqual(shape);
    const wide = remoteDefinition(served.url, {}).describe({ shape: { ratio: "9:1" } });
    await expect(wide).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining(`it has ${shape.id} (${size})`),
    });
  });

  it("does not send what the server would not take", async () => {
    const served = await serveOverHttp(await canvasDefinition.open(), { limits: { requestBytes: 1000 } });
    open.push(served);
    const remote = await remoteDefinition(served.url, {}).open();
    open.push(remote);
    await expect(remote.start({ prompt: "x".repeat(1000), seed: 0 }, ["c0"])).rejects.toMatchObject({
      code: "MODEL_RUNTIME",
      message: expect.stringMatching(
        /takes requests of 1000 bytes, but start needs \d+; .*--max-request-bytes/,
      ),
      details: { remoteCode: "too-large" },
    });
  });

  it("refuses answers for another number of candidates, and tokens that are none", async () => {
    const { memory: _, ...traits } = await canvasDefinition.describe();
    const url = await answering({
      "/v2/info": {
        protocol: "tts-var-sampler/2",
        ...{ name: traits.name, version: traits.version, shapes: [traits.shape] },
        limits: { rows: 8, requestBytes: 1e6, idleSeconds: 1e12 },
      },
      "/v2/traits": { traits: { ...traits, memory: null } },
      "/v2/start": { revision: 0 },
      "/v2/step": { revision: 1, stage: 1, tokenHash: ["a"], values: { logProb: [0, 0] } },
      "/v2/tokens": { tokens: [{ count: 3, base64: "AA==" }] },
      "/v2/release": {},
    });
    const remote = await remoteDefinition(url, {}).open();
    open.push(remote);
    const session = await remote.start({ prompt: "blocks", seed: 0 }, ["c0", "c1"]);
    const wrong = (message: string) => ({ code: "MODEL_INVALID", message: expect.stringContaining(message) });
    await expect(session.step()).rejects.toMatchObject(wrong("step with 1 entries instead of 2"));
    await expect(session.tokens([0, 1], 0)).rejects.toMatchObject(
      wrong("tokens with 1 entries instead of 2"),
    );
    await expect(session.tokens([0], 0)).rejects.toMatchObject(wrong("tokens that are none"));
    await expect(session.view([0], FULL_VIEW)).rejects.toThrow("is not served");
  });
});

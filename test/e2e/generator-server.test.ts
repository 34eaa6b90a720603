import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Generator, Session } from "../../src/core/generator.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { remoteDefinition } from "../../src/generators/remote/definition.ts";
import { serveOverHttp } from "../../src/generators/remote/serve.ts";
import { program } from "./support/program.ts";
import { troubledProxy } from "./support/troubled-proxy.ts";

const token = "a-token-only-for-these-tests";

describe("tts-var serve-sampler", () => {
  const serve = (...argv: string[]) =>
    spawn(process.execPath, [program, "serve-sampler", "--model", "toy", "--port", "0", ...argv], {
      env: { ...process.env, TTSVAR_SAMPLER_TOKEN: token },
      stdio: ["ignore", "pipe", "pipe"],
    });

  it("prints its address, serves whoever has the token, and stops in order", async () => {
    const child = serve("--max-rows", "2");
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const url = line.toString().trim();
    const generator = await remoteDefinition(url, { TTSVAR_SAMPLER_TOKEN: token }).open();
    const task = { prompt: "blocks", seed: 0 };
    const session = await generator.start(task, ["c0", "c1"]);
    expect((await session.step()).tokenHash).toHaveLength(2);
    const three = generator.start(task, ["c0", "c1", "c2"]);
    await expect(three).rejects.toMatchObject({
      code: "MODEL_RUNTIME",
      message: expect.stringContaining("this server allows 2"),
      details: { remoteCode: "too-large" },
    });
    await generator[Symbol.asyncDispose]();
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  });

  it("lets slow clients neither keep others out nor the server from stopping", async () => {
    const child = serve();
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const url = new URL(line.toString().trim());
    const slow = Array.from({ length: 160 }, () =>
      connect(Number(url.port), url.hostname).on("error", () => undefined),
    );
    await Promise.all(slow.map((socket) => once(socket, "connect")));
    for (const socket of slow) socket.write("POST /v2/step HT");
    const info = await fetch(`${url.origin}/v2/info`, { headers: { authorization: `Bearer ${token}` } });
    expect(info.status).toBe(200);
    expect(await info.json()).toMatchObject({ protocol: expect.any(String) });
    // Nor does half a request of a client with a token, or one whose head never ends.
    const half = connect(Number(url.port), url.hostname).on("error", () => undefined);
    half.write(
      `POST /v2/touch HTTP/1.1\r\nHost: ${url.host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
    );
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    for (const socket of [...slow, half]) socket.destroy();
  });

  it("does not listen to other machines without a good token", async () => {
    const toy = await toyDefinition.open();
    await expect(serveOverHttp(toy, { host: "0.0.0.0" })).rejects.toThrow(/a token is needed/);
    for (const weak of ["short", "with spaces in a long token"]) {
      await expect(serveOverHttp(toy, { token: weak })).rejects.toThrow(/at least 16 printable/);
    }
  });
});

describe("a session at a server", () => {
  afterEach(() => vi.useRealTimers());

  const begin = (remote: Generator): Promise<Session> => remote.start({ prompt: "blocks", seed: 0 }, ["c0"]);

  it("is kept alive by a client that looks elsewhere for long", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const served = await serveOverHttp(await toyDefinition.open(), { limits: { idleSeconds: 600 } });
    const calls: string[] = [];
    const watched = await troubledProxy(served.url, (call) => {
      calls.push(call);
      return "pass";
    });
    const remote = await remoteDefinition(watched.url, {}).open();
    await begin(remote);
    vi.advanceTimersByTime(199_000);
    expect(calls).toEqual(["info", "traits", "start"]);
    vi.advanceTimersByTime(2_000);
    await vi.waitFor(() => expect(calls).toEqual(["info", "traits", "start", "touch"]), 30_000);
    await remote[Symbol.asyncDispose]();
    expect(calls).toEqual(["info", "traits", "start", "touch", "release"]);
    await watched[Symbol.asyncDispose]();
    await served[Symbol.asyncDispose]();
  });

  it("is dropped when its client forgot it", async () => {
    // The client's signs of life never come, as if it were gone.
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const served = await serveOverHttp(await toyDefinition.open(), { limits: { idleSeconds: 0.05 } });
    const remote = await remoteDefinition(served.url, {}).open();
    const session = await begin(remote);
    await pause(300);
    await expect(session.step()).rejects.toMatchObject({
      code: "MODEL_RUNTIME",
      message: expect.stringContaining("idle for more than 0.05 s"),
      details: { remoteCode: "unknown-session" },
    });
    await remote[Symbol.asyncDispose]();
    await served[Symbol.asyncDispose]();
  });

  it("waits its turn when all are in use, and says so when that takes too long", async () => {
    const served = await serveOverHttp(await toyDefinition.open(), { limits: { sessions: 1 } });
    const remote = await remoteDefinition(served.url, {}).open();
    const first = await begin(remote);
    await expect(begin(remote)).rejects.toThrow(/all 1 sessions are in use/);
    const second = begin(remote);
    first.release();
    expect((await (await second).step()).tokenHash).toHaveLength(1);
    await remote[Symbol.asyncDispose]();
    await served[Symbol.asyncDispose]();
  });

  it("is not asked twice for what takes too long", async () => {
    const toy = await toyDefinition.open();
    let steps = 0;
    const stuck: Generator = {
      ...toy,
      start: async (task, ids) => {
        const session = await toy.start(task, ids);
        vi.spyOn(session, "step").mockImplementation(() => {
          steps++;
          return new Promise(() => undefined);
        });
        return session;
      },
    };
    const served = await serveOverHttp(stuck);
    const remote = await remoteDefinition(served.url, { TTSVAR_SAMPLER_TIMEOUT: "4" }).open();
    await expect((await begin(remote)).step()).rejects.toThrow(/within 4 s; .* set TTSVAR_SAMPLER_TIMEOUT/);
    expect(steps).toBe(1);
    await remote[Symbol.asyncDispose]();
    expect(() => remoteDefinition(served.url, { TTSVAR_SAMPLER_TIMEOUT: "soon" })).toThrow(
      /number of seconds/,
    );
  });
});

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { parseOptions } from "../../src/cli/geneval/judge-flags.ts";
import { withDeadline } from "../../src/core/deadline.ts";
import { TtsVarError } from "../../src/core/errors.ts";
import { type GeneratorTraits, SPECIFICATION_VERSION } from "../../src/core/generator.ts";
import { HttpCalls } from "../../src/generators/remote/http-calls.ts";
import { type Info, PROTOCOL } from "../../src/generators/remote/protocol.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { greyItems, rewardContext, rewardHost } from "../fixtures/reward-host.ts";
import { runHere } from "./support/run-here.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A peer on loopback that answers every request as told. */
async function serve(answer: (response: ServerResponse, path: string) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => answer(response, request.url ?? ""));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Collects garbage again and again until the promise settles. */
async function underCollections<T>(promise: Promise<T>): Promise<T> {
  const timer = setInterval(collectGarbage, 10);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

/** Sends without end, as fast as it is read; counts what was sent. */
function flood(response: ServerResponse, sent: { bytes: number }): void {
  const chunk = Buffer.alloc(2 ** 16, "[");
  const more = (): void => {
    while (!response.destroyed) {
      sent.bytes += chunk.length;
      if (!response.write(chunk)) return void response.once("drain", more);
    }
  };
  more();
}

/** Sends a byte now and then. */
function drip(response: ServerResponse): void {
  const timer = setInterval(() => response.write(" "), 20);
  response.on("close", () => clearInterval(timer));
}

const callsOf = (url: string, timeoutMs = 60_000): HttpCalls => {
  const calls = new HttpCalls({ address: new URL(url), token: undefined, timeoutMs });
  closing.push(() => calls.close());
  return calls;
};

async function scoreBy(url: string, options: object): Promise<unknown> {
  const { value } = await loadReward(url, { retries: 0, ...options }, rewardHost("."));
  return value.score(greyItems([1]), rewardContext());
}

describe("names from outside", () => {
  it.each(["constructor", "__proto__", "toString", "no-such-code", ""])(
    "a server's failure called %j is the server's: exit code 3",
    async (code) => {
      const url = await serve((response) => {
        response.writeHead(418, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { code, message: "I am\u001b[2J a teapot" } }));
      });
      const argv = ["search", "-p", "a cup", "--model", url, "--json", "--quiet"];
      const { code: exit, stdout, stderr } = await runHere(argv);
      expect([exit, JSON.parse(stdout).error.code]).toEqual([3, "MODEL_RUNTIME"]);
      expect(stderr).toMatch(/error: the generator at http:\S+: I am \[2J a teapot\n/);
    },
  );

  it("an error with a code that is none of ours is an internal one", () => {
    for (const code of ["constructor", "__proto__", "OTHER"]) {
      const error = new TtsVarError(code as "INTERNAL", "?");
      expect([error.code, error.exitCode]).toEqual(["INTERNAL", 1]);
    }
  });

  it("an option that every object has is unknown", () => {
    expect(() => parseOptions(["constructor=1"])).toThrow(/unknown option/);
  });
});

describe("peers that send without end", () => {
  it("are refused as generators, and no longer listened to", async () => {
    const sent = { bytes: 0 };
    const url = await serve((response) => flood(response, sent));
    await expect(callsOf(url).json("info", undefined, z.unknown())).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("answered info with more than 16 MiB"),
    });
    await expect(callsOf(url).bytes("view", {}, 3000, (bytes) => bytes)).rejects.toThrow(
      "answered view with more than 3000 bytes",
    );
    expect(sent.bytes).toBeLessThan(64 * 2 ** 20);
  });

  it("are refused as generators that only report a failure", async () => {
    const sent = { bytes: 0 };
    const url = await serve((response) => flood(response.writeHead(500), sent));
    await expect(callsOf(url).json("info", undefined, z.unknown())).rejects.toThrow("answered info with 500");
    expect(sent.bytes).toBeLessThan(32 * 2 ** 20);
  });

  it("are refused as rewards", async () => {
    const sent = { bytes: 0 };
    const url = await serve((response) => flood(response, sent));
    await expect(scoreBy(url, {})).rejects.toMatchObject({
      code: "REWARD_FAILED",
      message: expect.stringContaining("its answer is longer than 4 MiB"),
    });
    expect(sent.bytes).toBeLessThan(32 * 2 ** 20);
  });

  it("are refused when they claim images that no memory holds", async () => {
    const shape = { id: "1:1", width: 16e5, height: 16e5, frames: 1, grain: 16 };
    const limits = { rows: 8, requestBytes: 1e6, idleSeconds: 60 };
    const known = { name: "huge", version: "1" };
    const traits: GeneratorTraits = {
      ...{ specificationVersion: SPECIFICATION_VERSION, ...known, shape, looks: ["now"], can: [] },
      stages: [{ index: 0, label: "1x1", tokens: 1, final: 1 }],
      tokens: { kind: "bits", width: 1 },
      cost: { prompt: 0, stages: [1], shared: 1, views: { now: 1 } },
      memory: null,
      settings: {},
    };
    const info: Info = { protocol: PROTOCOL, ...known, shapes: [shape], limits };
    const url = await serve((response, path) => {
      response.end(JSON.stringify(path.endsWith("/info") ? info : { traits }));
    });
    const { code, stderr } = await runHere(["search", "-p", "a cup", "--model", url, "--quiet"]);
    expect([code, stderr]).toEqual([3, expect.stringContaining("must not be over 8192 pixels")]);
  });
});

describe("deadlines hold, whatever is collected as garbage meanwhile", () => {
  const late = (): Error => new Error("late");

  it("when work never ends", async () => {
    const never = withDeadline(() => new Promise(() => undefined), { timeoutMs: 100, late });
    await expect(underCollections(never)).rejects.toThrow("late");
  });

  it("when an outer signal fires that nobody else holds", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("outer")), 100);
    const { signal } = controller;
    const never = withDeadline(() => new Promise(() => undefined), { signal, timeoutMs: 60_000, late });
    await expect(underCollections(never)).rejects.toThrow("outer");
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ["never answers", () => undefined],
    ["drips", drip],
  ])("when a peer %s", async (_, answer) => {
    const url = await serve(answer);
    await expect(underCollections(callsOf(url, 200).json("info", undefined, z.unknown()))).rejects.toThrow(
      "did not answer within 0.2 s",
    );
    await expect(underCollections(scoreBy(url, { timeoutMs: 200 }))).rejects.toThrow(
      "did not answer within 0.2 s",
    );
  });
});

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { GeneratorTraits } from "../../src/core/generator.ts";
import type { TokenKind } from "../../src/core/tokens.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { type Info, infoSchema, parseAddress, requestSchemas } from "../../src/generators/remote/protocol.ts";
import {
  bytesOfPictures,
  picturesOf,
  taskOf,
  tokensOf,
  wireTask,
  wireTokens,
} from "../../src/generators/remote/wire.ts";
import { traitsSchema } from "../../src/generators/traits-schema.ts";
import { SessionStore } from "../../src/http/session-store.ts";
import { drawVectors } from "../fixtures/remote/draw-vectors.ts";

describe("the remote generator's protocol", () => {
  it("writes tokens of every kind as text and back", () => {
    const sizes = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 5 }));
    const arrays = sizes.chain(([count, width]) => {
      const length = { minLength: count * width, maxLength: count * width };
      return fc.oneof(
        fc.uint8Array({ max: 1, ...length }).map((data) => ({ kind: "bits" as const, width, count, data })),
        fc
          .float32Array({ noNaN: true, ...length })
          .map((data) => ({ kind: "vector" as const, width, count, data })),
        fc
          .int32Array({ min: 0, max: 99, minLength: count, maxLength: count })
          .map((data) => ({ kind: "index" as const, size: 100, count, data })),
      );
    });
    fc.assert(
      fc.property(arrays, ({ count, data, ...kind }) => {
        const wired = JSON.parse(JSON.stringify(wireTokens(kind, { count, data })));
        expect(tokensOf(kind, wired)).toEqual({ count, data });
      }),
    );
    const bits: TokenKind = { kind: "bits", width: 3 };
    expect(wireTokens(bits, { count: 3, data: Uint8Array.from([1, 0, 1, 0, 0, 0, 0, 1, 1]) })).toEqual({
      count: 3,
      base64: Buffer.from([0b10100001, 0b10000000]).toString("base64"),
    });
    expect(() => tokensOf(bits, { count: 4, base64: "AA==" })).toThrow(/4 tokens: 1 bytes given, 2 needed/);
  });

  it("carries a task whole, and pictures with all their frames", () => {
    const kind: TokenKind = { kind: "index", size: 9 };
    const task = {
      ...{ prompt: "a cup", seed: "s", negativePrompt: "a cat", label: 3, metadata: { tag: "counting" } },
      source: { width: 2, height: 1, data: Uint8Array.from([1, 2, 3, 4, 5, 6]) },
      keep: [{ count: 2, data: Int32Array.from([8, 0]) }],
    };
    const wired = requestSchemas.start.shape.task.parse(JSON.parse(JSON.stringify(wireTask(kind, task))));
    expect(taskOf(kind, wired)).toEqual(task);
    const frame = (level: number) => ({ width: 2, height: 1, data: new Uint8Array(6).fill(level) });
    const still = { frames: [frame(1)] as const, coverage: 1 };
    const clip = { frames: [frame(2), frame(3)] as const, coverage: 0.5 };
    const bytes = bytesOfPictures([clip, still]);
    expect(picturesOf(bytes)).toEqual([clip, still]);
    for (const bad of [bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
      expect(picturesOf(bad)).toBeNull();
    }
  });

  it("takes addresses of servers and refuses everything else", () => {
    expect(parseAddress("http://127.0.0.1:8710").href).toBe("http://127.0.0.1:8710/");
    expect(parseAddress("https://host/samplers/a/").href).toBe("https://host/samplers/a");
    for (const [text, problem] of [
      ["http://", "must be http"],
      ["ftp://host", "must be http"],
      ["http://:secret@host", "does not belong"],
      ["http://host/?token=secret", "query"],
    ] as const) {
      expect(() => parseAddress(text)).toThrow(problem);
    }
  });

  it("refuses descriptions that do not fit together", () => {
    const info: Info = {
      protocol: "tts-var-sampler/2",
      name: "m",
      version: "m@1",
      shapes: [{ id: "1:1", width: 8, height: 8 }],
      limits: { rows: 1, requestBytes: 1, idleSeconds: 1 },
    };
    expect(infoSchema.safeParse(info).success).toBe(true);
    for (const change of [{ protocol: "tts-var-sampler/1" }, { shapes: [] }]) {
      expect(infoSchema.safeParse({ ...info, ...change }).success).toBe(false);
    }
    const traits: GeneratorTraits = {
      specificationVersion: 2,
      name: "m",
      version: "m@1",
      shape: { id: "1:1", width: 8, height: 8, frames: 1, grain: 4 },
      stages: [
        { index: 0, label: "1x1", tokens: 1, final: 1 },
        { index: 1, label: "2x2", tokens: 4, final: 1 },
      ],
      tokens: { kind: "bits", width: 3 },
      looks: ["now"],
      can: [],
      cost: { prompt: 0, stages: [2, 2], shared: 1, views: { now: 1 } },
      memory: null,
      settings: {},
    };
    expect(traitsSchema.safeParse(traits).success).toBe(true);
    const { cost, shape, stages } = traits;
    const memory = { weights: 1, prompt: 1, kept: [1], working: [1, 1], view: { bytes: 1, atOnce: 1 } };
    const broken = [
      { specificationVersion: 1 },
      { stages: [] },
      { stages: [...stages].reverse() },
      { cost: { ...cost, stages: [2] } },
      { cost: { ...cost, views: {} } },
      { looks: ["ahead"], cost: { ...cost, views: { ahead: 1 } } },
      { shape: { ...shape, grain: 3 } },
      { memory },
    ];
    for (const change of broken) {
      expect([change, traitsSchema.safeParse({ ...traits, ...change }).success]).toEqual([change, false]);
    }
  });

  it("has recorded draws that are this package's", () => {
    const recorded = JSON.parse(
      readFileSync(new URL("../fixtures/remote/draws.json", import.meta.url), "utf8"),
    );
    expect(recorded).toEqual(JSON.parse(JSON.stringify(drawVectors())));
  });
});

describe("a store of sessions", () => {
  afterEach(() => vi.useRealTimers());

  const session = async () => {
    const toy = await toyDefinition.open();
    return toy.start({ prompt: "blocks", seed: 0 }, ["c0"]);
  };

  it("drops what nobody used, keeps what somebody did, and waits for a computation", async () => {
    vi.useFakeTimers();
    const store = new SessionStore(3, 10);
    for (const handle of ["used", "touched", "busy"]) await store.open(handle, "start", session);
    let finish = (): void => undefined;
    const slow = store.change("busy", 0, "step", async () => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return {};
    });
    await vi.advanceTimersByTimeAsync(8_000);
    await store.at("used", 0);
    expect(store.touch(["touched", "never"])).toEqual(["never"]);
    await vi.advanceTimersByTimeAsync(8_000);
    expect(store.touch(["used", "touched", "busy"])).toEqual([]);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(store.touch(["used", "touched", "busy"])).toEqual(["used", "touched"]);
    finish();
    expect(await slow).toEqual({ revision: 1 });
  });

  it("forgets a change that failed, and a session that could not be opened", async () => {
    const store = new SessionStore(1, 10);
    await expect(store.open("s", "start", () => Promise.reject(new Error("no weights")))).rejects.toThrow(
      "no w",
    );
    await store.open("s", "start", session);
    const fails = () => store.change("s", 0, "step", () => Promise.reject(new Error("no memory")));
    await expect(fails()).rejects.toThrow("no memory");
    await expect(fails()).rejects.toThrow("no memory");
    expect(await store.change("s", 0, "step", async () => ({ stage: 1 }))).toEqual({ revision: 1, stage: 1 });
    await expect(store.open("t", "start", session)).rejects.toMatchObject({ code: "busy" });
    store.close();
    expect(store.touch(["s"])).toEqual(["s"]);
  });
});

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import {
  bitsFromText,
  bitsToText,
  type Info,
  infoSchema,
  parseAddress,
} from "../../src/generators/remote/protocol.ts";
import { SessionStore } from "../../src/generators/remote/session-store.ts";
import { drawVectors } from "../fixtures/remote/draw-vectors.ts";

describe("the remote generator's protocol", () => {
  it("writes bits as text and back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ max: 1, maxLength: 200 }), (bits) => {
        const text = bitsToText(bits);
        expect(text).toBe(Array.from(bits).join(""));
        expect(bitsFromText(text)).toEqual(bits);
      }),
    );
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
    const schedule = {
      id: "1:1",
      scales: [
        { h: 1, w: 1 },
        { h: 2, w: 2 },
      ],
      latent: { h: 2, w: 2 },
      defaults: { guidance: [1, 1], temperature: [1, 1], topP: 1, guidanceUntil: 2 },
      cost: {
        text: 0,
        stages: [
          { guided: 2, unguided: 1 },
          { guided: 2, unguided: 1 },
        ],
        sharedStages: 1,
        decodePerCell: 1,
      },
    };
    const info: Info = {
      protocol: "tts-var-sampler/1",
      name: "m",
      version: "m@1",
      pixelsPerLatent: 4,
      encodes: false,
      schedules: [schedule],
      limits: { rows: 1, requestBytes: 1, idleSeconds: 1 },
    };
    expect(infoSchema.safeParse(info).success).toBe(true);
    const broken = [
      { protocol: "tts-var-sampler/2" },
      { schedules: [] },
      { schedules: [{ ...schedule, defaults: { ...schedule.defaults, guidance: [1] } }] },
      { schedules: [{ ...schedule, cost: { ...schedule.cost, stages: [] } }] },
    ];
    for (const change of broken) expect(infoSchema.safeParse({ ...info, ...change }).success).toBe(false);
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
    return toy.start({ prompt: "blocks", seed: 0, ids: ["c0"], settings: toy.defaults });
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

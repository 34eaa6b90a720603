import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GeneratorTraits, sidesOf } from "../core/generator.ts";
import { bytesOfTokens, elementsOf, TOKEN_ARRAYS } from "../core/tokens.ts";
import { type Info, infoSchema, PROTOCOL } from "../generators/remote/protocol.ts";
import { picturesOf } from "../generators/remote/wire.ts";
import { traitsSchema } from "../generators/traits-schema.ts";
import { refused, type SamplerServerUnderTest, ServerClient } from "./server-client.ts";

const OPENING_MS = 300_000;
const UNKNOWN_HANDLE = "0".repeat(32);
const full = { size: 1, look: "now" };

/**
 * What a server of the remote generator's protocol must keep beyond its generator's own contract (`describeSampler` over
 * `--model URL`): repeated calls change nothing twice, nobody gets in without the token, every refusal has its code.
 *
 * @param name name of the server in the report
 * @param open starts it; called once
 */
export function describeSamplerServer(name: string, open: () => Promise<SamplerServerUnderTest>): void {
  describe(`generator server contract: ${name}`, () => {
    let server: SamplerServerUnderTest;
    let client: ServerClient;
    let info: Info;
    let traits: GeneratorTraits;
    let shape: string;
    let handles = 0;
    beforeAll(async () => {
      server = await open();
      client = new ServerClient(server);
      info = (await send("GET", "info")).json as unknown as Info;
      shape = info.shapes[0]!.id;
      traits = (await post("traits", { shape, settings: {} })).json.traits!;
    }, OPENING_MS);
    afterAll(async () => server?.close());

    const send: ServerClient["send"] = (...call) => client.send(...call);
    const post: ServerClient["post"] = (...call) => client.post(...call);
    const newHandle = (): string => `${++handles}`.padStart(32, "a");
    const startBody = (session: string, change: Record<string, unknown> = {}) => ({
      session,
      model: info.version,
      shape,
      settings: {},
      task: { prompt: "a photo of a dog", seed: 7 },
      ids: ["c0", "c1"],
      ...change,
    });
    const begin = async (change: Record<string, unknown> = {}): Promise<string> => {
      const session = newHandle();
      const reply = await post("start", startBody(session, change));
      expect([reply.status, reply.json]).toEqual([200, { revision: 0 }]);
      return session;
    };

    it("describes itself completely", async () => {
      expect(infoSchema.safeParse(info).error?.message).toBeUndefined();
      expect(info.protocol).toBe(PROTOCOL);
      for (const { id, width, height } of info.shapes) {
        const told = (await post("traits", { shape: id, settings: {} })).json.traits;
        expect(traitsSchema.safeParse(told).error?.message).toBeUndefined();
        expect(told).toMatchObject({ name: info.name, version: info.version, shape: { id, width, height } });
        // What a server takes is none of the memory that its clients plan.
        expect(told!.memory).toBeNull();
      }
    });

    it("tells the costs of what is asked for, and refuses settings that it does not have", async () => {
      const again = await post("traits", { shape, settings: {} });
      expect(again.json.traits).toEqual(traits);
      const unknown = post("traits", { shape, settings: { "no such setting": 1 } });
      expect(await refused(unknown, 400, "invalid-request")).toMatch(/no such setting|settings cannot/);
      const bad = startBody(newHandle(), { settings: { "no such setting": 1 } });
      await refused(post("start", bad), 400, "invalid-request");
      await refused(post("traits", { shape: "no such shape", settings: {} }), 400, "invalid-request");
    });

    it("answers a repeated call as the first time and advances once", async () => {
      const session = newHandle();
      const first = await post("start", startBody(session));
      expect(await post("start", startBody(session))).toEqual(first);
      const step = await post("step", { session, revision: 0 });
      expect(step.json).toMatchObject({ revision: 1, stage: 1 });
      expect(await post("step", { session, revision: 0 })).toEqual(step);
      const picks = [
        { parent: 1, id: "c1" },
        { parent: 1, id: "c1.1" },
        { parent: 0, id: "c0" },
      ];
      const select = await post("select", { session, revision: 1, picks });
      expect(await post("select", { session, revision: 1, picks })).toEqual(select);
      const branch = newHandle();
      const branching = { session, revision: 2, branch, picks: [{ parent: 1, id: "c1.1" }] };
      const opened = await post("branch", branching);
      expect(opened.status).toBe(200);
      expect(await post("branch", branching)).toEqual(opened);
      const next = await post("step", { session, revision: 2 });
      expect(next.json).toMatchObject({ revision: 3, stage: 2 });
      expect(next.json.tokenHash).toHaveLength(3);
      const inBranch = await post("step", { session: branch, revision: 0 });
      expect(inBranch.json.tokenHash).toEqual([next.json.tokenHash![1]]);
    });

    it("advances once when the same call arrives twice at the same time", async () => {
      const session = await begin();
      const twice = await Promise.all([1, 2].map(() => post("step", { session, revision: 0 })));
      expect(twice[0]).toEqual(twice[1]);
      expect(twice[0]!.json).toMatchObject({ revision: 1, stage: 1 });
      expect((await post("step", { session, revision: 1 })).json).toMatchObject({ revision: 2, stage: 2 });
    });

    it("refuses calls for another state than the session's", async () => {
      const session = await begin();
      await post("step", { session, revision: 0 });
      await refused(post("step", { session, revision: 2 }), 409, "conflict");
      await refused(
        post("select", { session, revision: 0, picks: [{ parent: 0, id: "c0" }] }),
        409,
        "conflict",
      );
      await refused(post("view", { session, revision: 0, rows: [0], view: full }), 409, "conflict");
      await refused(post("tokens", { session, revision: 2, rows: [0], stage: 0 }), 409, "conflict");
      await refused(post("start", startBody(session, { ids: ["c0"] })), 409, "conflict");
      expect((await post("tokens", { session, revision: 1, rows: [0], stage: 0 })).status).toBe(200);
    });

    it("goes on after a refused change as if it had not been asked", async () => {
      const session = await begin();
      await post("step", { session, revision: 0 });
      const outside = { session, revision: 1, picks: [{ parent: 2, id: "c0" }] };
      expect(await refused(post("select", outside), 400, "invalid-request")).toContain("row 2");
      expect((await post("step", { session, revision: 1 })).json).toMatchObject({ revision: 2, stage: 2 });
    });

    it("ends after the last stage", async () => {
      const session = await begin();
      const stages = traits.stages.length;
      for (let revision = 0; revision < stages; revision++) {
        expect((await post("step", { session, revision })).status).toBe(200);
      }
      const past = post("step", { session, revision: stages });
      expect(await refused(past, 400, "invalid-request")).toContain("done");
    });

    it("shows exactly what is asked for", async () => {
      const session = await begin();
      await refused(post("view", { session, revision: 0, rows: [0], view: full }), 400, "invalid-request");
      await post("step", { session, revision: 0 });
      const seen = async (rows: readonly number[], size: number) =>
        picturesOf((await post("view", { session, revision: 1, rows, view: { size, look: "now" } })).bytes)!;
      for (const size of [1, 0.5]) {
        const { width, height } = sidesOf(traits.shape, size);
        const pictures = await seen([1, 0, 1], size);
        expect(pictures[0]).toEqual(pictures[2]);
        for (const { frames, coverage } of pictures) {
          expect([frames[0].width, frames[0].height]).toEqual([width, height]);
          expect(coverage).toBeGreaterThan(0);
        }
      }
      const wrong = async (change: Record<string, unknown>) =>
        refused(
          post("view", { session, revision: 1, rows: [0], view: full, ...change }),
          400,
          "invalid-request",
        );
      await wrong({ rows: [2] });
      await wrong({ rows: [] });
      await wrong({ view: { size: 1.5, look: "now" } });
      await wrong({ view: { size: 1, look: "away" } });
      if (!traits.looks.includes("ahead")) await wrong({ view: { size: 1, look: "ahead" } });
    });

    it("tells the tokens of stages that are done", async () => {
      const session = await begin();
      await post("step", { session, revision: 0 });
      const told = await post("tokens", { session, revision: 1, rows: [1, 0], stage: 0 });
      const { tokens: kind, stages } = traits;
      const { tokens: count } = stages[0]!;
      const empty = { count, data: new TOKEN_ARRAYS[kind.kind](count * elementsOf(kind)) };
      for (const tokens of told.json.tokens!) {
        expect(tokens.count).toBe(count);
        expect(Buffer.from(tokens.base64, "base64")).toHaveLength(bytesOfTokens(kind, empty).length);
      }
      expect(told.json.tokens).toHaveLength(2);
      const later = post("tokens", { session, revision: 1, rows: [0], stage: 1 });
      expect(await refused(later, 400, "invalid-request")).toContain("not done");
      await refused(post("tokens", { session, revision: 1, rows: [2], stage: 0 }), 400, "invalid-request");
    });

    it("refuses what its model cannot do, by name", async () => {
      const session = await begin();
      await post("step", { session, revision: 0 });
      const { width, height } = info.shapes[0]!;
      const base64 = Buffer.alloc(width * height * 3).toString("base64");
      const calls = {
        refine: { session, revision: 1, share: 1, ids: ["c0.1", "c1.1"] },
        rewind: { session, revision: 1, stage: 0, ids: ["c0.1", "c1.1"] },
        encode: { shape, image: { width, height, base64 } },
      } as const;
      for (const [call, body] of Object.entries(calls)) {
        const able = traits.can.includes(call as keyof typeof calls);
        if (!able) expect(await refused(post(call, body), 404, "unknown-method")).toContain(call);
        else if (call === "encode")
          expect((await post(call, body)).json.tokens).toHaveLength(traits.stages.length);
      }
      const task = { prompt: "a photo of a dog", seed: 7 };
      const asked = {
        source: { source: { width: 1, height: 1, base64: "AAAA" } },
        "negative-prompt": { negativePrompt: "a cat" },
        "prompt-at": { promptAt: [{ stage: 1, prompt: "a cat" }] },
        keep: { keep: [] },
      } as const;
      for (const [capability, more] of Object.entries(asked)) {
        if (traits.can.includes(capability as keyof typeof asked)) continue;
        const body = startBody(newHandle(), { task: { ...task, ...more } });
        await refused(post("start", body), 400, "invalid-request");
      }
    });

    it("forgets released sessions, and only those", async () => {
      const [kept, session] = [await begin(), await begin()];
      for (let times = 0; times < 2; times++) expect((await post("release", { session })).status).toBe(200);
      await refused(post("step", { session, revision: 0 }), 404, "unknown-session");
      await refused(post("step", { session: UNKNOWN_HANDLE, revision: 0 }), 404, "unknown-session");
      expect((await post("touch", { sessions: [kept, session] })).json.gone).toEqual([session]);
      expect((await post("step", { session: kept, revision: 0 })).status).toBe(200);
    });

    it("checks what it is asked", async () => {
      const session = newHandle();
      const bad = (change: Record<string, unknown>) => post("start", startBody(session, change));
      const { task } = startBody(session);
      const wrongTask = (change: Record<string, unknown>) => bad({ task: { ...task, ...change } });
      await refused(bad({ model: "another@1" }), 409, "model-changed");
      await refused(bad({ shape: "no such" }), 400, "invalid-request");
      await refused(bad({ settings: [] }), 400, "invalid-request");
      const { tokens: count } = traits.stages[0]!;
      if (traits.can.includes("keep")) {
        const short = wrongTask({ keep: [{ count: count + 1, base64: "AAAA" }] });
        expect(await refused(short, 400, "invalid-request")).toContain("kept tokens");
      }
      await refused(wrongTask({ keep: [{ count, base64: "!" }] }), 400, "invalid-request");
      await refused(wrongTask({ beamWidth: 3 }), 400, "invalid-request");
      await refused(wrongTask({ seed: null }), 400, "invalid-request");
      await refused(bad({ ids: [] }), 400, "invalid-request");
      await refused(bad({ session: "short" }), 400, "invalid-request");
      await refused(bad({ beamWidth: 3 }), 400, "invalid-request");
      const many = Array.from({ length: info.limits.rows + 1 }, (_, index) => `c${index}`);
      await refused(bad({ ids: many }), 413, "too-large");
      await refused(post("step", { session, revision: 0 }), 404, "unknown-session");
    });

    it("refuses what is no call", async () => {
      await refused(post("sleep", {}), 404, "unknown-method");
      await refused(send("GET", "step"), 404, "unknown-method");
      // A client of another version is told which one this is.
      expect(await refused(send("GET", "../v1/info"), 404, "unknown-method")).toContain(PROTOCOL);
      await refused(post("step", []), 400, "invalid-request");
      await refused(send("POST", "step", { body: '{"session":' }), 400, "invalid-request");
      const asText = { "content-type": "text/plain" };
      await refused(send("POST", "touch", { body: "{}", headers: asText }), 400, "invalid-request");
      const length = `${info.limits.requestBytes + 1}`;
      await refused(
        send("POST", "touch", {
          headers: { "content-type": "application/json", "content-length": length, expect: "100-continue" },
        }),
        413,
        "too-large",
      );
    });

    it("lets in only those it should", async () => {
      const stranger = { authorization: "Bearer not-the-token-at-all" };
      if (server.token === undefined) {
        const elsewhere = { host: "example.com" };
        await refused(send("GET", "info", { headers: elsewhere }), 403, "wrong-host");
      } else {
        await refused(send("GET", "info", { headers: stranger }), 401, "unauthorized");
        await refused(send("GET", "info", { headers: { authorization: "" } }), 401, "unauthorized");
        const body = JSON.stringify(startBody(newHandle()));
        await refused(send("POST", "start", { body, headers: stranger }), 401, "unauthorized");
      }
    });
  });
}

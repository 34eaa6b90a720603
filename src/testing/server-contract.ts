import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** A server under test, listening on loopback over plain HTTP. */
export interface SamplerServerUnderTest {
  readonly url: string;
  /** The token it demands; undefined if it demands none. */
  readonly token: string | undefined;
  close(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly bytes: Buffer;
  readonly json: Answer;
}

/** Whatever a server may answer; the tests look at what they expect. */
interface Answer {
  readonly error?: { readonly code: string; readonly message: string };
  readonly revision?: number;
  readonly stage?: number;
  readonly gone?: readonly string[];
  readonly bits?: readonly string[];
  readonly tokenHash?: readonly string[];
  readonly logProb?: readonly number[];
}

interface Info {
  readonly protocol: string;
  readonly name: string;
  readonly version: string;
  readonly pixelsPerLatent: number;
  readonly schedules: readonly {
    readonly id: string;
    readonly scales: readonly unknown[];
    readonly latent: { readonly h: number; readonly w: number };
    readonly defaults: {
      readonly guidance: readonly number[];
      readonly temperature: readonly number[];
      readonly topP: number;
      readonly guidanceUntil: number;
    };
  }[];
  readonly limits: { readonly rows: number; readonly requestBytes: number; readonly idleSeconds: number };
}

const OPENING_MS = 300_000;
const UNKNOWN_HANDLE = "0".repeat(32);

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
    let info: Info;
    let handles = 0;
    beforeAll(async () => {
      server = await open();
      info = (await send("GET", "info")).json as unknown as Info;
    }, OPENING_MS);
    afterAll(async () => server?.close());

    const send = (
      method: string,
      path: string,
      { body, headers = {} }: { body?: string; headers?: Record<string, string> } = {},
    ): Promise<Reply> =>
      new Promise((resolve, reject) => {
        const credentials: Record<string, string> =
          server.token === undefined ? {} : { authorization: `Bearer ${server.token}` };
        const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
        const sent = httpRequest(
          new URL(`/v1/${path}`, server.url),
          { method, agent: false, headers: { ...credentials, ...type, ...headers } },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("end", () => {
              const bytes = Buffer.concat(chunks);
              const isJson = response.headers["content-type"]?.includes("json") ?? false;
              resolve({
                status: response.statusCode ?? 0,
                bytes,
                json: isJson ? JSON.parse(bytes.toString()) : {},
              });
            });
          },
        );
        sent.on("error", reject);
        // With its length told in advance: chunked bodies are refused.
        sent.end(body);
      });
    const post = (call: string, body: unknown): Promise<Reply> =>
      send("POST", call, { body: JSON.stringify(body) });
    const refused = async (reply: Promise<Reply>, status: number, code: string): Promise<string> => {
      const { status: found, json } = await reply;
      expect([found, json.error?.code]).toEqual([status, code]);
      expect(json.error!.message.length).toBeGreaterThan(10);
      return json.error!.message;
    };
    const newHandle = (): string => `${++handles}`.padStart(32, "a");
    const startBody = (session: string, change: Record<string, unknown> = {}) => {
      const { guidance, temperature, topP, guidanceUntil } = info.schedules[0]!.defaults;
      return {
        session,
        model: info.version,
        prompt: "a photo of a dog",
        seed: 7,
        ids: ["c0", "c1"],
        settings: { guidance, temperature, topP, guidanceUntil },
        ...change,
      };
    };
    const begin = async (change: Record<string, unknown> = {}): Promise<string> => {
      const session = newHandle();
      const reply = await post("start", startBody(session, change));
      expect([reply.status, reply.json]).toEqual([200, { revision: 0 }]);
      return session;
    };

    it("describes itself completely", () => {
      expect(info.protocol).toBe("tts-var-sampler/1");
      expect(info.name.length * info.version.length).toBeGreaterThan(0);
      for (const { scales, defaults } of info.schedules) {
        expect(defaults.guidance).toHaveLength(scales.length);
        expect(defaults.temperature).toHaveLength(scales.length);
      }
      expect(Math.min(info.limits.rows, info.limits.requestBytes, info.limits.idleSeconds)).toBeGreaterThan(
        0,
      );
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
      await refused(post("decode", { session, revision: 0, rows: [0] }), 409, "conflict");
      await refused(post("bits", { session, revision: 2, row: 0 }), 409, "conflict");
      await refused(post("start", startBody(session, { seed: 8 })), 409, "conflict");
      expect((await post("bits", { session, revision: 1, row: 0 })).status).toBe(200);
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
      const { scales } = info.schedules[0]!;
      for (let revision = 0; revision < scales.length; revision++) {
        expect((await post("step", { session, revision })).status).toBe(200);
      }
      const past = post("step", { session, revision: scales.length });
      expect(await refused(past, 400, "invalid-request")).toContain("done");
    });

    it("decodes exactly the asked pixels", async () => {
      const session = await begin();
      await refused(post("decode", { session, revision: 0, rows: [0] }), 400, "invalid-request");
      await post("step", { session, revision: 0 });
      const { latent } = info.schedules[0]!;
      const bytes = (h: number, w: number): number => h * w * info.pixelsPerLatent ** 2 * 3;
      const full = await post("decode", { session, revision: 1, rows: [1, 0, 1] });
      expect(full.bytes).toHaveLength(3 * bytes(latent.h, latent.w));
      const one = bytes(latent.h, latent.w);
      expect(full.bytes.subarray(0, one).equals(full.bytes.subarray(2 * one))).toBe(true);
      const small = await post("decode", { session, revision: 1, rows: [0], latent: { h: 1, w: 2 } });
      expect(small.bytes).toHaveLength(bytes(1, 2));
      const large = { session, revision: 1, rows: [0], latent: { h: latent.h + 1, w: 1 } };
      await refused(post("decode", large), 400, "invalid-request");
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
      const { settings } = startBody(session);
      await refused(bad({ model: "another@1" }), 409, "model-changed");
      await refused(bad({ schedule: "no such" }), 400, "invalid-request");
      await refused(bad({ settings: { ...settings, temperature: [1] } }), 400, "invalid-request");
      await refused(bad({ settings: { ...settings, topP: 0 } }), 400, "invalid-request");
      await refused(bad({ settings: { ...settings, topP: "all" } }), 400, "invalid-request");
      const forced = await refused(bad({ forcedBits: ["01"] }), 400, "invalid-request");
      expect(forced).toContain("forced bits");
      await refused(bad({ forcedBits: ["2"] }), 400, "invalid-request");
      await refused(bad({ ids: [] }), 400, "invalid-request");
      await refused(bad({ seed: null }), 400, "invalid-request");
      await refused(bad({ session: "short" }), 400, "invalid-request");
      await refused(bad({ beamWidth: 3 }), 400, "invalid-request");
      const many = Array.from({ length: info.limits.rows + 1 }, (_, index) => `c${index}`);
      await refused(bad({ ids: many }), 413, "too-large");
      await refused(post("step", { session, revision: 0 }), 404, "unknown-session");
    });

    it("refuses what is no call", async () => {
      await refused(post("sleep", {}), 404, "unknown-method");
      await refused(send("GET", "step"), 404, "unknown-method");
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

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { FULL_VIEW, type Generator, type Session, type View } from "../../src/core/generator.ts";
import { framesHash } from "../../src/core/image.ts";
import type { Task } from "../../src/core/task.ts";
import type { Tokens } from "../../src/core/tokens.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { remoteDefinition } from "../../src/generators/remote/definition.ts";
import { type ServedGenerator, serveOverHttp } from "../../src/generators/remote/serve.ts";
import { canvasDefinition } from "../../src/generators/toys/canvas.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";
import { describeSamplerServer } from "../../src/testing/server-contract.ts";
import { runHere } from "./support/run-here.ts";
import { troubledProxy } from "./support/troubled-proxy.ts";

const token = "a-token-only-for-these-tests";

/** A generator reached through a server that owns it. */
async function overHttp(local: Generator): Promise<Generator> {
  const served = await serveOverHttp(local, { token });
  const remote = await remoteDefinition(served.url, { TTSVAR_SAMPLER_TOKEN: token }).open();
  const close = async (): Promise<void> => {
    await remote[Symbol.asyncDispose]();
    await served[Symbol.asyncDispose]();
    await local[Symbol.asyncDispose]();
  };
  return { ...remote, [Symbol.asyncDispose]: close };
}

async function openEmbedded(): Promise<Generator> {
  return infinityDefinition(await embeddedModelPath("generator")).open();
}

describeSampler("toy behind HTTP", async () => overHttp(await toyDefinition.open()), {
  otherSettings: { temperature: 2 },
});
describeSampler("embedded generator behind HTTP", async () => overHttp(await openEmbedded()), {
  otherSettings: { guidance: 1 },
});
describeSampler("toy canvas behind HTTP", async () => overHttp(await canvasDefinition.open()));

for (const secret of [token, undefined]) {
  describeSamplerServer(`toy, ${secret === undefined ? "without a token" : "with a token"}`, async () => {
    const generator = await toyDefinition.open();
    const served = await serveOverHttp(generator, { token: secret, limits: { rows: 8 } });
    return { url: served.url, token: secret, close: async () => served[Symbol.asyncDispose]() };
  });
}

describe("a remote generator", () => {
  let local: Generator;
  let remote: Generator;
  beforeAll(async () => {
    local = await openEmbedded();
    const served = await serveOverHttp(local);
    remote = await remoteDefinition(served.url, {}).open();
  }, 120_000);
  afterAll(async () => remote?.[Symbol.asyncDispose]());

  const task: Task = { prompt: "a photo of two dogs and a red car", seed: "s" };
  const ids = ["c0", "c1", "c2"];

  it("is described as the generator that it stands for", () => {
    expect(remote.traits).toEqual({ ...local.traits, memory: null });
  });

  it("gives the same signals, bits and pixels, with every member of a task and every setting", async () => {
    const settings = { guidanceUntil: 4, topP: 0.9 };
    const keep = await drawn(await local.start(task, ids), 2);
    const cases: [Partial<Task>, object][] = [
      [{}, {}],
      [{ negativePrompt: "a photo of three blue cats" }, settings],
      [{}, { ...settings, topK: 1 }],
      [{ keep }, {}],
    ];
    for (const [change, options] of cases) {
      const started = [local, remote].map(async (one) =>
        (await one.withSettings!(options)).start({ ...task, ...change }, ids),
      );
      const [here, there] = (await Promise.all(started)) as [Session, Session];
      while (here.stage < local.traits.stages.length) {
        expect(await there.step()).toEqual(await here.step());
        if (here.stage !== 3) continue;
        const picks = [
          { parent: 2, id: "c2" },
          { parent: 2, id: "c2.1" },
        ];
        await Promise.all([here.select(picks), there.select(picks)]);
        expect(there.ids).toEqual(here.ids);
        const small: View = { size: 1 / 4, look: "now" };
        expect(await there.view([1], small)).toEqual(await here.view([1], small));
      }
      for (const { index } of local.traits.stages) {
        expect(await there.tokens([1], index)).toEqual(await here.tokens([1], index));
      }
      expect(await hashesOf(there, [1, 0])).toEqual(await hashesOf(here, [1, 0]));
    }
  });

  it("encodes images where the model can", async () => {
    expect(remote.encode === undefined).toBe(local.encode === undefined);
    const session = await finish(await local.start(task, ["c0"]));
    const [picture] = await session.view([0], FULL_VIEW);
    const [image] = picture!.frames;
    expect(await remote.encode?.(image)).toEqual(await local.encode?.(image));
  });
});

async function finish(session: Session, stages = 6): Promise<Session> {
  while (session.stage < stages) await session.step();
  return session;
}

/** Tokens of the first candidate's first stages. */
async function drawn(session: Session, stages: number): Promise<Tokens[]> {
  await finish(session);
  const tokens = Array.from({ length: stages }, (_, stage) => session.tokens([0], stage));
  return (await Promise.all(tokens)).flat();
}

async function hashesOf(session: Session, rows: readonly number[]): Promise<string[]> {
  return (await session.view(rows, FULL_VIEW)).map(({ frames }) => framesHash(frames));
}

describe("tts-var with --model http://...", () => {
  const dir = mkdtempSync(join(tmpdir(), "tts-var-remote-"));
  const open: AsyncDisposable[] = [];
  afterAll(async () => {
    vi.unstubAllEnvs();
    rmSync(dir, { recursive: true });
    for (const one of open) await one[Symbol.asyncDispose]();
  });

  const serve = async (generator?: Generator, withToken = true): Promise<ServedGenerator> => {
    const served = await serveOverHttp(generator ?? (await toyDefinition.open()), withToken ? { token } : {});
    open.push(served);
    return served;
  };
  const search = (model: string, out: string, ...more: string[]) =>
    runHere(
      ["search", "-p", "blocks", "--model", model, "--reward", "./test/fixtures/brightness.mjs"].concat(
        [
          "--budget",
          "3",
          "--quiet",
          "--json",
          "--sheet",
          "none",
          "--report",
          "none",
          "--out",
          join(dir, out),
        ],
        more,
      ),
    );
  const runFile = (out: string) => JSON.parse(readFileSync(join(dir, out, "run.json"), "utf8"));

  it("finds the same images as the model at hand, and records whose they are", async () => {
    vi.stubEnv("TTSVAR_SAMPLER_TOKEN", token);
    const served = await serve();
    const [near, far] = [await search("toy", "near"), await search(served.url, "far")];
    expect([near.code, far.code, far.stderr]).toEqual([0, 0, ""]);
    const answers = [near, far].map(({ stdout }) => JSON.parse(stdout));
    const hashes = answers.map(({ candidates }) =>
      candidates.map((one: { pixelHash: string }) => one.pixelHash),
    );
    expect(hashes[1]).toEqual(hashes[0]);
    expect(answers[1].budget.flops).toEqual(answers[0].budget.flops);
    const record = runFile("far");
    expect(record.models).toMatchObject({ toy: "1" });
    expect(record.config.model.name).toBe(served.url);
    expect(JSON.stringify(record)).not.toContain(token);
    const plan = await runHere(["plan", "--model", served.url, "--budget", "3", "--json"]);
    expect([plan.code, JSON.parse(plan.stdout).schemaVersion]).toEqual([0, 1]);
  });

  it("says what is wrong with the token", async () => {
    const served = await serve();
    vi.stubEnv("TTSVAR_SAMPLER_TOKEN", undefined);
    const without = await search(served.url, "none");
    vi.stubEnv("TTSVAR_SAMPLER_TOKEN", "another-token-than-the-servers");
    const wrong = await search(served.url, "none");
    expect([without.code, wrong.code]).toEqual([2, 2]);
    expect(without.stderr).toContain("wants a token; put it into the environment as TTSVAR_SAMPLER_TOKEN");
    expect(wrong.stderr).toContain("does not accept the token in TTSVAR_SAMPLER_TOKEN");
    const inAddress = await search(served.url.replace("//", "//user:secret@"), "none");
    expect([inAddress.code, inAddress.stderr]).toEqual([2, expect.stringContaining("does not belong in it")]);
  });

  it("ends with exit code 3 and a valid run folder when the server goes away in the middle", async () => {
    vi.stubEnv("TTSVAR_SAMPLER_TOKEN", token);
    let steps = 0;
    const vanishing = await troubledProxy((await serve()).url, (call) =>
      call === "step" && ++steps === 3 ? "vanish" : "pass",
    );
    const { code, stderr, stdout } = await search(vanishing.url, "gone");
    expect([code, steps]).toEqual([3, 3]);
    expect(stderr).toMatch(/the generator at http:\S+ cannot be reached \(\w+, 3 attempts\)/);
    expect(JSON.parse(stdout).error.code).toBe("MODEL_RUNTIME");
    expect(runFile("gone")).toMatchObject({ status: "failed", error: { code: "MODEL_RUNTIME" } });
    const lines = readFileSync(join(dir, "gone", "trace.jsonl"), "utf8")
      .trim()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line).type)).toContain("step");
  });

  it("survives lost answers without advancing twice", async () => {
    vi.stubEnv("TTSVAR_SAMPLER_TOKEN", token);
    const served = await serve();
    const plain = await search(served.url, "plain", "--strategy", "tts-var", "--widths", "4,4,2,2");
    const lost: string[] = [];
    const troubled = await troubledProxy(served.url, (call) => {
      // The first answer of every kind of call is lost; the second one arrives.
      const again = call === "release" || call === "touch" || lost.includes(call);
      if (!again) lost.push(call);
      return again ? "pass" : "lose-answer";
    });
    open.unshift(troubled);
    const { code, stdout } = await search(
      troubled.url,
      "lost",
      "--strategy",
      "tts-var",
      "--widths",
      "4,4,2,2",
    );
    expect(code).toBe(0);
    expect(lost).toEqual(expect.arrayContaining(["info", "traits", "start", "step", "select", "view"]));
    const best = (text: string) => JSON.parse(text).best.pixelHash;
    expect(best(stdout)).toBe(best(plain.stdout));
    expect(readFileSync(join(dir, "lost", "trace.jsonl"), "utf8")).toBe(
      readFileSync(join(dir, "plain", "trace.jsonl"), "utf8"),
    );
  });

  it("says where nobody listens, or somebody else does", async () => {
    const served = await serve(undefined, false);
    const missing = await search(`${served.url}/elsewhere`, "none");
    expect([missing.code, missing.stderr]).toEqual([3, expect.stringContaining("is not served")]);
    open.splice(open.indexOf(served), 1);
    await served[Symbol.asyncDispose]();
    const gone = await search(served.url, "none");
    expect([gone.code, gone.stderr]).toEqual([3, expect.stringMatching(/cannot be reached \(ECONNREFUSED/)]);
  });
});

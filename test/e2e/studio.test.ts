import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { planConfig } from "../../src/assemble/open-search.ts";
import { loadConfigFile } from "../../src/config/load.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { readRunRecord } from "../../src/run/run-folder.ts";
import { runPlanned } from "../../src/run/run-planned.ts";
import type { Field, PlanAnswer, RunSummary, RunView } from "../../src/studio/api-types.ts";
import { TestStudio } from "./support/studio.ts";

// Searches of a busy machine may take long; nothing here is expected to.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 });

let dir: string;
let runs: string;
let studio: TestStudio;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-studio-"));
  runs = join(dir, "runs");
  await writeFile(join(dir, "secret.json"), "secret");
  studio = await TestStudio.open(runs);
});
afterAll(async () => {
  await studio[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const cup = { "task.prompt": "a photo of a cup" };
/** So long that a test can look at it while it runs. */
const long = { "task.prompt": "a photo of a cup, slowly" };

describe("who is let in", () => {
  const body = JSON.stringify({ settings: cup });
  it.each<[string, number, Record<string, string | undefined>]>([
    ["another host", 403, { host: "evil.example" }],
    ["another port's host", 403, { host: "127.0.0.1:1" }],
    ["another origin", 403, { origin: "http://evil.example" }],
    ["another port's origin", 403, { origin: "http://127.0.0.1:1" }],
    ["an origin that is none", 403, { origin: "null" }],
    ["no origin", 403, { origin: undefined }],
    ["a browser that tells of another site", 403, { "sec-fetch-site": "cross-site" }],
    ["a browser that tells of another port", 403, { "sec-fetch-site": "same-site" }],
    ["no token", 401, { cookie: undefined }],
    ["another token", 401, { cookie: "tts-var-studio-PORT=guessed" }],
    ["a form", 400, { "content-type": "application/x-www-form-urlencoded" }],
    ["the page itself", 200, {}],
  ])("%s: %i", async (_, status, changed) => {
    const all = { host: `127.0.0.1:${studio.port}`, ...studio.headers, ...changed };
    const headers = Object.fromEntries(
      Object.entries(all).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value.replace("PORT", studio.port)]],
      ),
    );
    const answer = await studio.send("POST", "/api/plan", headers, body);
    expect([answer.status, answer.body.toString()]).toEqual([status, expect.any(String)]);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("gives the cookie for the token that was printed, and for no other", async () => {
    const given = await studio.send("GET", `/?token=${studio.token}`, {});
    expect(String(given.headers["set-cookie"])).toMatch(/HttpOnly; SameSite=Strict$/);
    expect(given.headers["content-security-policy"]).toContain("default-src 'none'");
    const refused = await studio.send("GET", "/?token=guessed", {});
    expect([refused.status, refused.headers["set-cookie"]]).toEqual([401, undefined]);
  });

  it("reads nothing for those without the token", async () => {
    for (const path of ["/api/form", "/api/runs", "/api/events"]) {
      expect((await studio.send("GET", path, {})).status).toBe(401);
    }
  });
});

describe("what is let in", () => {
  const refusal = async (request: unknown) => {
    const { status, body } = await studio.post("/api/runs", request);
    return `${status} ${body.toString()}`;
  };
  it.each<[string, unknown, RegExp]>([
    ["settings of the server", { settings: { ...cup, out: "/tmp/x" } }, /^400 .*out cannot be set here/],
    ["files", { settings: { ...cup, "task.source": "/etc/passwd" } }, /^400 .*task\.source cannot be set/],
    ["code", { settings: { ...cup, "reward.name": "./evil.mjs" } }, /^400 .*is not offered here/],
    ["prototypes", { settings: { ...cup, "__proto__.x": 1 } }, /^400 .*cannot be set here/],
    ["no prompt", { settings: {} }, /^400 .*must say what to draw/],
    ["budgets of nothing", { settings: { ...cup, budget: -1 } }, /^400 .*must be at least 1/],
    ["other requests", { settings: cup, shell: "rm" }, /^400 .*not understood/],
    ["too much", { settings: { "task.prompt": "x".repeat(600_000) } }, /^413/],
    ["other folders", { settings: cup, from: { run: "..", candidate: "c0", stages: 1 } }, /^400 .*no run/],
    [
      "regions of nothing",
      {
        settings: cup,
        redraw: { run: "x", candidate: "c0", region: { left: 5, top: 0, right: 5, bottom: 9 } },
      },
      /^400 .*must have a region/,
    ],
    [
      "other files",
      { settings: cup, from: { run: "x", candidate: "../c0", stages: 1 } },
      /^400 .*not understood/,
    ],
  ])("refuses %s", async (_, request, message) => {
    expect(await refusal(request)).toMatch(message);
  });

  it("refuses what is no JSON", async () => {
    const answer = await studio.send("POST", "/api/runs", studio.headers, "{");
    expect([answer.status, answer.body.toString()]).toEqual([400, expect.stringContaining("no JSON")]);
  });

  it("offers the settings of the schema, beginning with those of the command line", async () => {
    const { fields } = await studio.get<{ fields: Field[] }>("/api/form");
    expect(fields.map(({ path, kind, value }) => [path, kind, value])).toEqual([
      ["task.prompt", "text", null],
      ["strategy.name", "choice", "best-of-n"],
      ["budget", "number", 2],
      ["task.seed", "whole", 0],
      ["reward.name", "choice", expect.stringMatching(/slowly\.mjs$/)],
      ["model.name", "choice", "toy"],
      ["task.negativePrompt", "text", null],
    ]);
  });
});

describe("searches", () => {
  /** A search that is done. */
  let done: RunView;

  it("are planned before they begin", async () => {
    const { body } = await studio.post("/api/plan", { settings: { ...cup, budget: 3 } });
    const plan = JSON.parse(body.toString()) as PlanAnswer;
    expect([plan.total, plan.units, plan.rows.at(-1)?.widthOut]).toEqual([expect.closeTo(3, 0), 3, 3]);
  });

  it("run one after another, each into a folder of its own", async () => {
    const ids = [
      await studio.search({ ...cup, "task.seed": 1 }),
      await studio.search({ ...cup, "task.seed": 2 }),
    ];
    const pulses = await studio.idle();
    for (const { running, waiting } of pulses) {
      if (running?.id === ids[1]) expect(waiting).toEqual([]);
    }
    for (const [index, id] of ids.entries()) {
      const view = await studio.get<RunView>(`/api/runs/${id}`);
      expect([view.state, view.seed, view.best]).toEqual(["done", index + 1, expect.stringMatching(/^c\d$/)]);
      expect(
        view.stages
          .at(-1)
          ?.candidates.map(({ fate }) => fate)
          .sort(),
      ).toEqual(["best", "kept"]);
      expect((await readRunRecord(join(runs, id))).seed).toBe(index + 1);
      done = view;
    }
  });

  it("show pictures and files of their own only", async () => {
    const { id, stages } = done;
    const last = stages.at(-1)!;
    const picture = await studio.send(
      "GET",
      `/api/runs/${id}/pictures/${last.stage}/${last.candidates[0]!.id}`,
      studio.headers,
    );
    expect([picture.status, picture.headers["content-type"]]).toEqual([200, "image/png"]);
    await symlink(join(dir, "secret.json"), join(runs, id, "tokens", "c9.json"));
    const record = JSON.parse(await readFile(join(runs, id, "run.json"), "utf8")) as { files: string[] };
    record.files.push("tokens/c9.json", "../../secret.json");
    await writeFile(join(runs, id, "run.json"), JSON.stringify(record));
    await mkdir(join(runs, "other"));
    await symlink(dir, join(runs, "outside"));
    for (const path of [
      `${id}/files/tokens/c9.json`,
      `${id}/files/..%2F..%2Fsecret.json`,
      `${id}/files/../../secret.json`,
      `${id}/files/nothing.png`,
      `..%2F${id}/files/run.json`,
      "outside/files/secret.json",
      "other/files/run.json",
      "..",
      "%00",
    ]) {
      const { status, body } = await studio.send("GET", `/api/runs/${path}`, studio.headers);
      expect([path, status >= 400, body.equals(Buffer.from("secret"))]).toEqual([path, true, false]);
    }
  });

  it("can be cancelled while they run and while they wait", async () => {
    const first = await studio.search(long);
    const second = await studio.search({ ...long, "task.seed": 9 });
    await studio.until(({ running }) => (running?.stages.length ?? 0) > 0);
    expect((await studio.post(`/api/runs/${second}/cancel`, {})).status).toBe(204);
    expect((await studio.post(`/api/runs/${first}/cancel`, {})).status).toBe(204);
    expect((await studio.ended(first)).state).toBe("aborted");
    expect(await readRunRecord(join(runs, first))).toMatchObject({
      status: "aborted",
      error: { code: "INTERRUPTED", message: "cancelled in the studio" },
    });
    expect((await studio.post(`/api/runs/${first}/cancel`, {})).status).toBe(400);
    const listed = (await studio.get<RunSummary[]>("/api/runs")).map(({ id }) => id);
    expect([listed.includes(first), listed.includes(second)]).toEqual([true, false]);
  });

  it("go on from a candidate of another, and repeat to the pixel from their YAML and their archive", async () => {
    const from = { run: done.id, candidate: done.best!, stages: 2 };
    const second = await studio.search({ ...cup, "task.seed": 3 }, from);
    expect(await studio.ended(second)).toMatchObject({ state: "done", from });
    const metrics = JSON.parse(await readFile(join(runs, second, "metrics.json"), "utf8")) as {
      pixelHash: string;
    };

    const yaml = await studio.send("GET", `/api/runs/${second}/config.yaml`, studio.headers);
    await writeFile(join(dir, "search.yaml"), yaml.body);
    const zip = await studio.send("GET", `/api/runs/${second}/run.zip`, studio.headers);
    const entries = unzipSync(zip.body);
    expect(Object.keys(entries)).toEqual(
      expect.arrayContaining([`${second}/best.png`, `${second}/trace.jsonl`, `${second}/kept-tokens.json`]),
    );
    await mkdir(join(dir, "unpacked"));
    for (const name of ["search.yaml", "kept-tokens.json"]) {
      await writeFile(join(dir, "unpacked", name), entries[`${second}/${name}`]!);
    }
    for (const file of ["search.yaml", "unpacked/search.yaml"]) {
      const out = join(dir, `again-${file.replace("/", "-")}`);
      const resolved = resolveConfig({
        file: await loadConfigFile(join(dir, file)),
        flags: [{ path: "out", value: out, flag: "--out" }],
      });
      const host = { baseDir: process.cwd(), allowDownload: false, log: () => {} };
      const quiet = { status() {}, line() {}, warn() {}, end() {} };
      const again = await runPlanned(
        await planConfig(resolved.config, host),
        resolved,
        new AbortController().signal,
        quiet,
      );
      expect(again.best.pixelHash).toBe(metrics.pixelHash);
    }
  });

  it("take prompts as words, whatever they are", async () => {
    const prompt = [
      "<img src=x onerror=alert(1)><script>alert(2)</script>",
      "\u202egpj.exe \u05d0\u05d1",
      "zero\u200bwidth\u200d\ufeff",
      "escapes \u001b[2J\u001b]0;owned\u0007\u0000\r\n--out /tmp/x",
      "../../etc/passwd ",
      "x".repeat(10_000),
    ].join(" a cup ");
    const id = await studio.search({ "task.prompt": prompt });
    expect(id).toMatch(/^[\w-]+$/);
    const view = await studio.ended(id);
    expect([view.state, view.prompt]).toEqual(["done", prompt]);
    const yaml = await studio.send("GET", `/api/runs/${id}/config.yaml`, studio.headers);
    await writeFile(join(dir, "hostile.yaml"), yaml.body);
    const { config } = resolveConfig({ file: await loadConfigFile(join(dir, "hostile.yaml")) });
    expect(config.task.prompt).toBe(prompt);
  });
});

describe("a studio that ends", () => {
  it("leaves a valid folder, which the next one shows as it is", async () => {
    const place = join(dir, "restarted");
    const before = await TestStudio.open(place);
    const id = await before.search(long);
    const waiting = await before.search({ ...long, "task.seed": 5 });
    await before.until(({ running }) => (running?.stages.length ?? 0) > 0);
    await before[Symbol.asyncDispose]();
    await mkdir(join(place, "killed"));
    const killed = JSON.parse(await readFile(join(place, id, "run.json"), "utf8")) as object;
    await writeFile(join(place, "killed", "run.json"), JSON.stringify({ ...killed, status: "running" }));
    await writeFile(join(place, "killed", "trace.jsonl"), '{"type":"start","popul');

    await using after = await TestStudio.open(place);
    const states = (await after.get<RunSummary[]>("/api/runs")).map((run) => [run.id, run.state]);
    expect(states.sort()).toEqual(
      [
        [id, "aborted"],
        ["killed", "interrupted"],
      ].sort(),
    );
    expect(states.flat()).not.toContain(waiting);
    expect((await after.get<{ stages: unknown[] }>(`/api/runs/${id}`)).stages.length).toBeGreaterThan(0);
    expect(await after.get(`/api/runs/killed`)).toMatchObject({ state: "interrupted", stages: [] });
  });
});

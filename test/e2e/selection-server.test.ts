import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { strategyRegistry } from "../../src/assemble/builtins.ts";
import { createRng } from "../../src/core/rng.ts";
import type { Served } from "../../src/http/json-server.ts";
import { loadStrategy } from "../../src/plugins/load-strategy.ts";
import type { Deed, Turn } from "../../src/selection/protocol.ts";
import { serveSelection } from "../../src/selection/serve-selection.ts";
import { program } from "./support/program.ts";

type Told = Turn & { readonly session: string; readonly revision: number };

const load = async (name: string, options: unknown) =>
  (await loadStrategy(name, options, { registry: strategyRegistry, baseDir: "." })).value.search;

let served: Served;
beforeAll(async () => {
  served = await serveSelection(load);
});
afterAll(() => served[Symbol.asyncDispose]());

async function ask(
  path: string,
  body?: unknown,
  method = "POST",
  url = served.url,
): Promise<{ status: number; told: never }> {
  const response = await fetch(url + path, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return { status: response.status, told: (await response.json()) as never };
}

/** A loop whose candidates are numbers that take a random step at each stage; the highest wins. */
class Walk {
  readonly #populations = new Map<number, Map<string, number>>();
  steps = 0;

  do(deed: Deed): void {
    const at = this.#populations.get(deed.population);
    switch (deed.action) {
      case "start":
        this.#populations.set(deed.population, new Map(deed.ids.map((id) => [id, 0])));
        return;
      case "step":
        for (const [id, value] of at!) {
          at!.set(id, value + createRng(1, id).stream("token", id, deed.stage).uniform(0));
          this.steps++;
        }
        return;
      case "release":
        this.#populations.delete(deed.population);
        return;
      default:
        if (deed.action === "select") this.#populations.delete(deed.population);
        this.#populations.set(deed.into, new Map(deed.picks.map(({ from, id }) => [id, at!.get(from)!])));
    }
  }

  values(population: number, ids: readonly string[]): number[] {
    return ids.map((id) => this.#populations.get(population)!.get(id)!);
  }
}

async function search(wish: object): Promise<{ turn: Told; walk: Walk; turns: number }> {
  const walk = new Walk();
  let turn: Told = (await ask("/v1/sessions", wish)).told;
  for (let turns = 1; ; turns++) {
    expect(turn.spent).toBeLessThanOrEqual(turn.budget * (1 + 1e-9));
    for (const deed of turn.do) walk.do(deed);
    if (turn.ask === null) return { turn, walk, turns };
    const { population, ids, for: what } = turn.ask;
    const values = walk.values(population, ids);
    const given = what === "scores" ? { scores: values } : { features: values.map((value) => [value, 1]) };
    const body = { revision: turn.revision, ...given };
    const first = await ask(`/v1/sessions/${turn.session}`, body);
    expect([first.status, first.told]).toEqual([200, first.told]);
    // The same call again is answered, and nothing is done twice.
    expect(await ask(`/v1/sessions/${turn.session}`, body)).toEqual(first);
    turn = first.told;
  }
}

describe("serve-strategy", { timeout: 120_000 }, () => {
  const wish = { budget: 8, stages: 10, costs: { view: 1, reward: 0.5 } };

  it.each(["best-of-n", "halving", "fk-steering", "beam", "tts-var", "quality-diversity"])(
    "%s decides for a loop elsewhere, within its budget",
    async (strategy) => {
      const { turn, walk } = await search({ ...wish, strategy, features: true });
      const { population, ids, best } = turn.answer!;
      const values = walk.values(population, ids);
      expect(walk.values(population, [best])[0]).toBe(Math.max(...values));
      expect(new Set(ids).size).toBe(ids.length);
      expect(walk.steps).toBeLessThanOrEqual(8 * 11.5);
      expect((await ask(`/v1/sessions/${turn.session}`, undefined, "DELETE")).status).toBe(200);
      expect((await ask(`/v1/sessions/${turn.session}`, { revision: 0, scores: [] })).status).toBe(404);
    },
  );

  it("decides alike for alike loops, and for the lowest score where that is best", async () => {
    const lower = { ...wish, strategy: "halving", reward: { direction: "lower" } };
    const [one, two] = [await search(lower), await search(lower)];
    expect(one.turn.answer).toEqual(two.turn.answer);
    const { population, ids, best } = one.turn.answer!;
    const { walk } = one;
    expect(walk.values(population, [best])[0]).toBe(Math.min(...walk.values(population, ids)));
  });

  it("says what is wrong with a wish or an answer", async () => {
    const refused = async (body: object, path = "/v1/sessions") => {
      const { status, told } = await ask(path, body);
      return [status, (told as { error: { message: string } }).error.message];
    };
    expect(await refused({ ...wish, strategy: "halvin" })).toEqual([400, expect.stringContaining("halving")]);
    expect(await refused({ ...wish, strategy: "./evil.mjs" })).toEqual([400, expect.anything()]);
    expect(await refused({ ...wish, strategy: "tts-var" })).toEqual([
      400,
      expect.stringContaining("features"),
    ]);
    expect(await refused({ ...wish, strategy: "spread" })).toEqual([400, expect.stringContaining("tokens")]);
    expect(await refused({ strategy: "best-of-n", budget: 2 })).toEqual([
      400,
      expect.stringContaining("stages"),
    ]);
    const turn: Told = (await ask("/v1/sessions", { ...wish, strategy: "best-of-n" })).told;
    const at = `/v1/sessions/${turn.session}`;
    expect(await refused({ revision: 0, scores: [1] }, at)).toEqual([
      400,
      expect.stringContaining("asked for"),
    ]);
    expect(await refused({ revision: 0, features: [[1]] }, at)).toEqual([
      400,
      expect.stringContaining("scores"),
    ]);
    const scores = turn.ask!.ids.map(() => 1);
    expect((await refused({ revision: 4, scores }, at))[0]).toBe(409);
    expect((await ask(at, { revision: 0, scores })).status).toBe(200);
    expect((await ask("/v1/other", {}, "POST")).status).toBe(404);
  });

  it("wants its token, where it has one", async () => {
    const guarded = await serveSelection(load, { token: "a-token-only-for-this-test" });
    expect((await ask("/v1/info", undefined, "GET", guarded.url)).status).toBe(401);
    await guarded[Symbol.asyncDispose]();
    await expect(serveSelection(load, { host: "0.0.0.0" })).rejects.toThrow(/TTSVAR_SELECTION_TOKEN/);
  });

  it("runs as a command, for the client in Python where there is one", async () => {
    const child = spawn(process.execPath, [program, "serve-strategy", "--port", "0"]);
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const url = line.toString().trim();
    expect((await ask("/v1/info", undefined, "GET", url)).told).toMatchObject({
      protocol: "tts-var-selection/1",
    });
    const run = promisify(execFile);
    const python = await run("python3", ["--version"]).then(
      () => true,
      () => false,
    );
    if (python) {
      const settings = JSON.stringify({ strategy: "best-of-n", budget: 4 });
      const { stdout } = await run("python3", ["examples/select_client.py", url, settings]);
      expect(JSON.parse(stdout)).toMatchObject({ candidates: 4, best: expect.stringMatching(/^c\d$/) });
      const halved = await run("python3", ["examples/select_client.py", url]);
      expect(JSON.parse(halved.stdout).score).toBeGreaterThan(0);
    }
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  });
});

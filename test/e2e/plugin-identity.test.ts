import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadFeatures } from "../../src/plugins/load-features.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { rewardContext, rewardHost } from "../fixtures/reward-host.ts";
import { runHere } from "./support/run-here.ts";

let dir: string;
const at = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-identity-"));
  await put("steps.mjs", "export const last = (space) => space.stages;");
  await put("strategy.mjs", strategy(0));
  await put("reward.mjs", 'import { pick } from "./pick.mjs";\nexport default (batch) => batch.map(pick);');
  await put("pick.mjs", "export const pick = ({ image }) => image.data[0];");
  await put("generator.mjs", await readFile("examples/my-generator.mjs", "utf8"));
  await put("features.mjs", "export default (images) => images.map(({ data }) => [data[0], data[1]]);");
});
afterAll(() => rm(dir, { recursive: true }));

const put = (name: string, text: string) => writeFile(at(name), text);
/** Draws two candidates and answers with the one of the given row. */
const strategy = (
  row: number,
) => `import * as tts from "${new URL("../../src/core/program.ts", import.meta.url).href}";
export default function* (space) {
  const drawn = yield* tts.start(2);
  const done = yield* tts.stepTo(drawn, space.stages.length);
  return { finalists: done, best: ${row} };
}
`;

describe("editing a plug-in's file, or what it imports, is noticed", { timeout: 120_000 }, () => {
  const plugins = () => [
    ...["--strategy", at("strategy.mjs"), "--reward", at("reward.mjs"), "--features", at("features.mjs")],
  ];

  it("versions of rewards and features change with their helpers; the new code runs", async () => {
    const host = rewardHost(dir);
    const image = { width: 1, height: 1, data: Uint8Array.of(3, 4, 5) };
    const item = { id: "c0", prompt: "", metadata: {}, image };
    await put("kinds.mjs", 'import { pick } from "./which.mjs";\nexport default (list) => list.map(pick);');
    const open = async (text: string) => {
      await put("which.mjs", `export const pick = (one) => ${text};`);
      const { value: reward } = await loadReward("./kinds.mjs", undefined, host);
      const { value: features } = await loadFeatures("./kinds.mjs", undefined, host);
      const found = {
        versions: [reward.version, features.version],
        score: (await reward.score([item], rewardContext())).scores[0],
      };
      await Promise.all([reward, features].map((part) => part[Symbol.asyncDispose]()));
      return found;
    };
    const before = await open("one.image.data[0]");
    const after = await open("one.image.data[1]");
    expect([before.score, after.score]).toEqual([3, 4]);
    for (const [kind, version] of after.versions.entries()) expect(version).not.toBe(before.versions[kind]);
  });

  it("run.json names the version of the strategy too", async () => {
    const run = async (out: string) => {
      const argv = ["search", "-p", "a cup", "--model", "toy", "-b", "2", "--out", at(out), "--quiet"];
      const { code, stderr } = await runHere([...argv, ...plugins()]);
      expect([code, stderr]).toEqual([0, ""]);
      return JSON.parse(await readFile(join(at(out), "run.json"), "utf8")).models as Record<string, string>;
    };
    const before = await run("run-a");
    expect(before["strategy strategy"]).toMatch(/^[0-9a-f]{16}$/);
    await put("strategy.mjs", strategy(1));
    const after = await run("run-b");
    expect(after["strategy strategy"]).not.toBe(before["strategy strategy"]);
    expect({ ...after, "strategy strategy": "" }).toEqual({ ...before, "strategy strategy": "" });
  });

  it("run.json, trace and folders of GenEval images tell an edited generator from the former one", async () => {
    const common = ["--model", at("generator.mjs"), "--reward", at("reward.mjs"), "--strategy", "best-of-n"];
    const search = async (out: string) => {
      const argv = ["search", "-p", "a cup", "-b", "2", "--quiet", "--out", at(out), ...common];
      expect(await runHere(argv)).toMatchObject({ code: 0, stderr: "" });
      const { models } = JSON.parse(await readFile(join(at(out), "run.json"), "utf8"));
      const [begin] = (await readFile(join(at(out), "trace.jsonl"), "utf8")).split("\n");
      return { models, version: JSON.parse(begin!).generator.version as string };
    };
    const folder = ["geneval", "run", "--prompts", "1", "--samples", "1", "--workers", "0", "--quiet"];
    const evaluation = [...folder, "-b", "2", "--out", at("geneval-generator"), ...common];
    const before = await search("model-a");
    expect((await runHere(evaluation)).code).toBe(0);
    await put("generator.mjs", `${await readFile(at("generator.mjs"), "utf8")}// edited\n`);
    const after = await search("model-b");
    for (const { version } of [before, after]) expect(version).toMatch(/^1\+[0-9a-f]{16}$/);
    expect(after.version).not.toBe(before.version);
    expect(JSON.stringify(before.models)).toContain(before.version);
    expect(JSON.stringify(after.models)).toContain(after.version);
    expect(await runHere(evaluation)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/another evaluation .*models/),
    });
  });

  it.each([
    ["strategy", "strategy.mjs", strategy(0)],
    ["reward", "pick.mjs", "export const pick = ({ image }) => -image.data[0];"],
  ])("a folder of GenEval images made with another %s is not continued", async (kind, file, text) => {
    const argv = [
      ...["geneval", "run", "--prompts", "1", "--samples", "1", "--workers", "0", "--model", "toy"],
      ...["-b", "2", "--quiet", "--out", at(`geneval-${kind}`), ...plugins()],
    ];
    expect((await runHere(argv)).code).toBe(0);
    expect((await runHere(argv)).code).toBe(0);
    await put(file, text);
    const refused = await runHere(argv);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/another evaluation .*models/) });
  });

  it("rows of a study are tied to the strategies of its arms, and no others are lost", async () => {
    const arms = [
      { name: "own", strategy: { name: at("strategy.mjs") }, live: true },
      { name: "best-of-n", strategy: { name: "best-of-n" } },
    ];
    const study = {
      ...{ title: "Edited", search: { model: "embedded", reward: "clip" }, prompts: { seed: "s", count: 2 } },
      ...{ replicates: 1, budgets: [2], tree: { width: 2, previews: [0.5], scales: [4] }, draws: 10, arms },
      contrasts: [],
    };
    await put("edited.yaml", JSON.stringify(study));
    const argv = ["study", "run", at("edited.yaml"), "--out", dir, "--json", "--quiet"];
    const cells = async () => {
      const { code, stderr } = await runHere(argv);
      expect([code, stderr]).toEqual([0, ""]);
      const text = await readFile(join(dir, "edited", "rows", "cells.jsonl"), "utf8");
      const rows = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { arm: string; score: number });
      return (arm: string) => rows.filter((row) => row.arm === arm).map(({ score }) => score);
    };
    await put("strategy.mjs", strategy(0));
    const drawn = await cells();
    await put("strategy.mjs", strategy(1));
    const edited = await cells();
    expect(edited("own")).toHaveLength(2);
    expect(edited("own")).not.toEqual(drawn("own"));
    expect(edited("best-of-n")).toEqual(drawn("best-of-n"));
  });
});

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodePng, encodePng } from "../../src/io/png.ts";
import { readTexts, withTexts } from "../../src/io/png-text.ts";
import { runHere } from "./support/run-here.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-recipe-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const prompt = 'a photo of a "dog"\u001b[31m, <b>bold</b>\u202e\nNegative prompt: none';
const small = [
  "--model",
  "toy",
  "--strategy",
  "best-of-n",
  "--budget",
  "2",
  "--sheet",
  "none",
  "--report",
  "none",
];

describe("pictures that know how they were made", () => {
  it("tell it in the common form and in full, and are made again to the pixel", async () => {
    const out = join(dir, "first");
    const first = await runHere(["search", "-p", prompt, ...small, "--seed", "7", "--out", out, "--json"]);
    expect(first.code).toBe(0);
    const best = join(out, "best.png");
    const texts = readTexts(best);
    expect(texts.get("parameters")).toContain(`${prompt}\nSteps: `);
    expect(texts.get("parameters")).toMatch(
      /Sampler: best-of-n, .*Seed: 7, .*Model hash: \w+, .*Budget: 2, Reward: clip/,
    );
    const recipe = JSON.parse(texts.get("tts-var")!);
    expect(recipe.config.task).toMatchObject({ prompt, seed: 7 });
    expect(Object.keys(recipe.models)).toHaveLength(2);
    expect(texts.get("tts-var")).not.toContain(dir);

    const again = join(dir, "again");
    const { code, stderr } = await runHere([
      "search",
      "--from",
      best,
      "--sheet",
      "none",
      "--report",
      "none",
      "--out",
      again,
    ]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/c\d is .*best.png again, to the pixel/)]);
    expect(await readFile(join(again, "best.png"))).toEqual(await readFile(best));

    const shown = await runHere(["show", best]);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/pixels as drawn/);
    expect(shown.stdout).toContain("again: npx tts-var search --set 'task.prompt=");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(shown.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);

    const painted = { ...(await decodePng(best)) };
    painted.data[0]! ^= 1;
    const changed = join(dir, "changed.png");
    await writeFile(changed, withTexts(await encodePng(painted), Object.fromEntries(texts)));
    expect(JSON.parse((await runHere(["show", changed, "--json"])).stdout).pixels).toBe("changed");
  });

  it("keep it to themselves with --no-metadata", async () => {
    const out = join(dir, "silent");
    const run = await runHere(["search", "-p", "a dog", ...small, "--no-metadata", "--out", out]);
    expect(run.code).toBe(0);
    const best = join(out, "best.png");
    expect(readTexts(best)).toEqual(new Map());
    expect((await runHere(["show", best])).stdout).toBe("this picture does not tell how it was made\n");
    const { code, stderr } = await runHere(["search", "--from", best]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("does not tell how it was made")]);
  });

  it("are refused where they want code to run", async () => {
    const recipe = {
      ...{ schemaVersion: 1, program: "tts-var", version: "9", configHash: "0".repeat(64), models: {} },
      ...{ config: { task: { prompt: "a dog" }, reward: { name: "./evil.mjs" } }, candidate: null },
    };
    const pixel = await encodePng({ width: 1, height: 1, data: new Uint8Array(3) });
    const path = join(dir, "evil.png");
    await writeFile(path, withTexts(pixel, { "tts-var": JSON.stringify(recipe) }));
    const { code, stderr } = await runHere(["search", "--from", path]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('reward.name="./evil.mjs"')]);
  });
});

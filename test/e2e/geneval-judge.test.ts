import { copyFile, cp, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openJudge } from "../../src/assemble/open-judge.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { type DetectionsByClass, officialOptions } from "../../src/eval/geneval/rules.ts";
import { runHere } from "./support/run-here.ts";

let dir: string;
let run: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-judge-"));
  run = join(dir, "run");
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const runSingle: readonly string[] = [
  ...["geneval", "run", "--samples", "1", "--strategy", "single", "--budget", "1", "--workers", "0"],
];

/** Left half red, right half green, 96 x 48. */
function halves(): RgbImage {
  const [width, height] = [96, 48];
  const data = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) data[pixel * 3 + (pixel % width < 48 ? 0 : 1)] = 255;
  return { width, height, data };
}

describe("a MaskFormer folder", () => {
  it("judges by masks, with CLIP naming colours", async () => {
    const judge = await openJudge({
      detector: resolve("test/fixtures/models/maskformer-tiny"),
      colorModel: "dual-encoder",
      rules: officialOptions,
    });
    try {
      expect(judge.id).toMatch(/^maskformer-tiny@[0-9a-f]{8}, colors=[\w-]+@[0-9a-f]{8}$/);
      const relation = (words: string) => ({
        tag: "position",
        include: [
          { class: "dog", count: 1 },
          { class: "tv remote", count: 1, position: [words, 0] as const },
        ],
        prompt: `a photo of a tv remote ${words} a dog`,
      });
      const image = halves();
      const judged = await judge.judge([
        { image, item: relation("right of") },
        { image, item: relation("left of") },
        { image, item: { tag: "single_object", include: [{ class: "person", count: 1 }], prompt: "p" } },
        {
          image,
          item: {
            tag: "colors",
            include: [{ class: "tv remote", count: 1, color: "green" }],
            prompt: "p",
          },
        },
      ]);
      expect(judged.map(({ reason }) => reason)).toEqual([
        "",
        "expected tv remote left of target, found right of target",
        "expected person>=1, found 0",
        "",
      ]);
      const details = judged[0]!.details as DetectionsByClass;
      const [[x0, y0, x1, y1, score] = []] = details["dog"]!;
      // Logits are +5 and -15 in cells of 4 pixels; between the cells' centres the sign changes a pixel early.
      expect([x0, y0, x1, y1]).toEqual([0, 0, 47, 48]);
      // Class probability (dog e^9, cat e^8, 79 others e^0) times the mean probability of the mask, below sigmoid(5).
      const probability = Math.exp(9) / (Math.exp(9) + Math.exp(8) + 79);
      expect(score).toBeLessThan(probability / (1 + Math.exp(-5)));
      expect(score).toBeGreaterThan(probability * 0.9);
      expect(
        judged[0]!.details,
        "a query counts under each of its classes; 0.27 does not",
      ).not.toHaveProperty("cat");
      expect(details["tv remote"]![0]!.slice(0, 4)).toEqual([49, 0, 96, 48]);
    } finally {
      await judge[Symbol.asyncDispose]();
    }
  });
});

describe("the embedded models, from prompts to tables", { timeout: 180_000 }, () => {
  it("runs, judges, summarises", async () => {
    const outcome = await runHere([...runSingle, "--prompts", "12", "--out", run]);
    expect(outcome.stderr).toContain("verdicts: ");
    expect(outcome.stdout).toMatch(/^GenEval-protocol \(judge=detector-b@[0-9a-f]{8}\)\n/);
    expect(outcome.stdout).toMatch(/Total images: 12\nTotal prompts: 12\n/);
    expect(outcome.stdout).toMatch(/Cost: \d\.\d+e\+10 FLOPs/);
    expect(outcome.code).toBe(0);
  });

  it("gives the same verdicts when the folder is judged alone", async () => {
    const out = join(dir, "again.jsonl");
    expect((await runHere(["geneval", "judge", run, "--out", out])).code).toBe(0);
    expect(await readFile(out, "utf8")).toBe(await readFile(join(run, "results.jsonl"), "utf8"));
  });

  it("says when the reward shares the judge's model", async () => {
    const outcome = await runHere([
      ...[...runSingle, "--prompts", "1", "--reward", "geneval", "--judge", "detector-a"],
      ...["--out", join(dir, "shared")],
    ]);
    expect(outcome.stdout).toContain("WARNING: reward shares the judge's model");
  });

  it("compares a run with itself", async () => {
    const { stdout, code } = await runHere(["geneval", "compare", run, run, "--json", "--draws", "100"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      pairs: 12,
      flips: [],
      overall: { newPrompts: { estimate: 0 } },
    });
  });

  it.each<[string, (copy: string) => Promise<void>, RegExp]>([
    ["a lost image", (copy) => rm(join(copy, "00002/samples/0000.png")), /00002 has 0 of 1 images/],
    ["a lost folder", (copy) => rm(join(copy, "00003"), { recursive: true }), /00003 has 0 of 1 images/],
    [
      "a damaged image",
      (copy) => truncate(join(copy, "00004/samples/0000.png"), 100),
      /0000\.png is damaged/,
    ],
    [
      "another prompt's image",
      (copy) => copyFile(join(copy, "00001/samples/0000.png"), join(copy, "00000/samples/0000.png")),
      /is damaged/,
    ],
  ])("does not judge %s", async (_what, damage, message) => {
    const copy = await mkdtemp(join(dir, "copy-"));
    await cp(run, copy, { recursive: true });
    await damage(copy);
    const outcome = await runHere(["geneval", "judge", copy, "--out", join(copy, "verdicts.jsonl")]);
    expect(outcome.stderr).toMatch(message);
    expect(outcome).toMatchObject({ code: 5, stdout: "" });
  });

  it("refuses what no judge can know, naming it", async () => {
    const copy = await mkdtemp(join(dir, "copy-"));
    await cp(run, copy, { recursive: true });
    const path = join(copy, "00000/metadata.jsonl");
    const row = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...row, include: [{ class: "dog", count: 1, color: "grey" }] }));
    const outcome = await runHere([
      "geneval",
      "judge",
      copy,
      "--out",
      join(copy, "v.jsonl"),
      "--allow-partial",
    ]);
    expect(outcome.stderr).toMatch(/00000\/metadata\.jsonl: include\.0\.color: GenEval has no colour "grey"/);
    expect(outcome).toMatchObject({ code: 5, stdout: "" });
  });

  it("names images that it does not read", async () => {
    const copy = await mkdtemp(join(dir, "copy-"));
    await cp(join(run, "00000"), join(copy, "00000"), { recursive: true });
    await rename(join(copy, "00000/samples/0000.png"), join(copy, "00000/samples/image_0.PNG"));
    await rm(join(copy, "00000/records"), { recursive: true });
    await writeFile(join(copy, "00000/samples/best.png"), "x");
    const outcome = await runHere(["geneval", "judge", copy, "--out", join(copy, "v.jsonl"), "--json"]);
    expect(outcome.stderr).toContain("Not read: 00000/samples/best.png (not an image named by its number)");
    expect(JSON.parse(outcome.stdout)).toMatchObject({ images: 1 });
    expect(outcome.code).toBe(0);
  });

  it.each<[string, string, string]>([
    ["a search", "run.json", "{}"],
    ["other prompts", "00000/metadata.jsonl", "{}"],
    ["another program's images", "00000/samples/0000.png", "x"],
  ])("does not begin in a folder of %s", async (_what, name, content) => {
    const out = await mkdtemp(join(dir, "begun-"));
    await mkdir(dirname(join(out, name)), { recursive: true });
    await writeFile(join(out, name), content);
    const outcome = await runHere([...runSingle, "--prompts", "1", "--model", "toy", "--out", out]);
    expect(outcome.stderr).toContain(`holds ${name}`);
    expect(outcome.code).toBe(2);
    expect(await readFile(join(out, name), "utf8")).toBe(content);
  });

  it("refuses an incomplete set before it opens the judge", async () => {
    const copy = await mkdtemp(join(dir, "copy-"));
    await cp(run, copy, { recursive: true });
    await rm(join(copy, "00002/samples/0000.png"));
    const outcome = await runHere([
      "geneval",
      "judge",
      copy,
      "--judge",
      "./none",
      "--out",
      join(dir, "x.jsonl"),
    ]);
    expect(outcome.stderr).toContain("00002 has 0 of 1 images");
    expect(outcome.code).toBe(5);
  });

  it("does not summarise a truncated results file, unless told to", async () => {
    const copy = join(dir, "truncated.jsonl");
    await copyFile(join(run, "results.jsonl"), copy);
    await truncate(copy, (await readFile(copy)).length - 50);
    const refused = await runHere(["geneval", "summarize", copy]);
    expect(refused).toMatchObject({ code: 5, stdout: "" });
    expect(refused.stderr).toContain("the last line of the results file is cut off");
    const allowed = await runHere(["geneval", "summarize", copy, "--allow-partial"]);
    expect(allowed.stdout).toContain("PARTIAL: 11 of 12 images");
    expect(allowed.code).toBe(0);
  });
});

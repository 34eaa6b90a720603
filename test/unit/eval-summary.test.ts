import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareResults } from "../../src/eval/compare.ts";
import { geneval } from "../../src/eval/geneval/benchmark.ts";
import { sharesModel } from "../../src/eval/label.ts";
import { type ResultRow, readResults, writeResults } from "../../src/eval/results.ts";
import { requireComplete, summarize } from "../../src/eval/summary.ts";
import { formatSummary } from "../../src/eval/summary-table.ts";

/** A line as pandas writes it: metadata and details are JSON texts, every slash escaped. */
function officialLine(tag: string, name: string, folder: number, sample: number, correct: boolean): string {
  const metadata = `{"tag": "${tag}", "include": [{"class": "${name}", "count": 1}], "prompt": "a photo of a ${name}"}`;
  return JSON.stringify({
    filename: `images/${String(folder).padStart(5, "0")}/samples/${String(sample).padStart(4, "0")}.png`,
    tag,
    prompt: `a photo of a ${name}`,
    correct,
    reason: correct ? "" : `expected ${name}>=1, found 0`,
    metadata,
    details: `{"${name}": [[1.5, 2.0, 30.25, 40.0, 0.875]]}`,
  }).replaceAll("/", "\\/");
}

// single_object: 3 of 4 images, both prompts; counting: 1 of 4 images, 1 of 2 prompts.
const official = [
  officialLine("single_object", "dog", 0, 0, true),
  officialLine("single_object", "dog", 0, 1, true),
  officialLine("single_object", "cat", 1, 0, true),
  officialLine("single_object", "cat", 1, 1, false),
  officialLine("counting", "cow", 2, 0, false),
  officialLine("counting", "cow", 2, 1, true),
  officialLine("counting", "bus", 3, 0, false),
  officialLine("counting", "bus", 3, 1, false),
];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-summary-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function read(lines: readonly string[], end = "\n") {
  const path = join(dir, "results.jsonl");
  await writeFile(path, lines.join("\n") + end);
  return readResults(path);
}
const options = { benchmark: geneval };

describe("official results files", () => {
  it("give the official figures", async () => {
    const { rows, tornTail } = await read(official);
    expect(official[0]).toContain("images\\/00000\\/samples");
    expect(rows[0]!.filename).toBe("images/00000/samples/0000.png");
    expect(rows[0]!.details).toEqual({ dog: [[1.5, 2, 30.25, 40, 0.875]] });
    const summary = summarize(rows, { ...options, tornTail });
    expect(summary).toMatchObject({
      label: "GenEval",
      images: 8,
      prompts: 4,
      correctImages: 4,
      correctPrompts: 3,
      overall: 0.5,
      byTag: [
        { tag: "single_object", correct: 3, images: 4 },
        { tag: "counting", correct: 1, images: 4 },
      ],
      completeness: { images: 8, expectedImages: 8, missing: [] },
      warnings: [],
      cost: null,
    });
    const table = formatSummary(summary);
    expect(table).toMatch(/^GenEval\n/);
    expect(table).toContain("% correct images: 50.00%\n% correct prompts: 75.00%");
    expect(table).toMatch(/single_object {4}= 75\.00% \(3 \/ 4\)/);
    expect(table).toContain("Overall score (avg. over tasks): 0.50000\n");
  });

  it("average over tasks, not images", async () => {
    const { rows } = await read(official.slice(0, 6));
    const { overall, correctImages, images } = summarize(rows, options);
    expect([correctImages / images, overall]).toEqual([4 / 6, (3 / 4 + 1 / 2) / 2]);
  });

  it("that hold an image twice are refused", async () => {
    const { rows } = await read([...official, ...official]);
    expect(() => summarize(rows, options)).toThrow(
      /two verdicts on images\/00000\/samples\/0000\.png \(rows 1 and 9\)/,
    );
  });

  it("survive writing and reading", async () => {
    const { rows } = await read(official);
    await writeResults(join(dir, "copy.jsonl"), rows);
    expect((await readResults(join(dir, "copy.jsonl"))).rows).toEqual(rows);
  });
});

describe("incomplete sets are never summarised as complete", () => {
  it.each<[string, readonly string[], string, RegExp]>([
    ["an image", official.slice(0, 7), "\n", /1 prompts have fewer than 2 images, first "a photo of a bus"/],
    [
      "a prompt inside",
      official.filter((line) => !line.includes("cat")),
      "\n",
      /1 of 4 prompts have no images/,
    ],
    [
      "the end of the last line",
      [...official.slice(0, 7), official[7]!.slice(0, 40)],
      "",
      /last line .* cut off/,
    ],
  ])("%s is missing", async (_what, lines, end, message) => {
    const { rows, tornTail } = await read(lines, end);
    const { completeness } = summarize(rows, { ...options, tornTail });
    expect(() => requireComplete(completeness, "it")).toThrow(message);
    expect(() => requireComplete(completeness, "it")).toThrow(
      expect.objectContaining({ code: "EVAL_PARTIAL" }),
    );
  });

  it("the last prompt is missed when the expected number is known", async () => {
    const { rows } = await read(official.slice(0, 6));
    expect(summarize(rows, options).completeness.missing).toEqual([]);
    const known = summarize(rows, { ...options, expectedPrompts: 4, expectedSamples: 2 });
    expect(known.completeness).toMatchObject({ images: 6, expectedImages: 8 });
    expect(known.completeness.missing).toHaveLength(1);
    expect(formatSummary(known)).toContain("PARTIAL: 6 of 8 images");
    const declared = summarize(
      rows.map((row) => ({ ...row, judge: "j@1", expected: 8 })),
      options,
    );
    expect(declared.completeness.missing).toEqual(["2 of 8 images are missing"]);
  });

  it("a last line without a line feed is whole; a bad line inside is named", async () => {
    expect((await read(official, "")).rows).toHaveLength(8);
    await expect(read([official[0]!, "{oops", official[1]!])).rejects.toThrow(/results\.jsonl:2: not a line/);
  });
});

describe("labels", () => {
  const judged = (rows: readonly ResultRow[], extra: Partial<ResultRow>): ResultRow[] =>
    rows.map((row) => ({ ...row, judge: "detector-b@0123abcd", ...extra }));

  it("claim GenEval only for the official judge", async () => {
    const { rows } = await read(official);
    expect(summarize(judged(rows, {}), options).label).toBe("GenEval-protocol (judge=detector-b@0123abcd)");
    expect(() => summarize([...rows, ...judged(rows, {})], options)).toThrow(/mix verdicts/);
  });

  it("warn when the reward shares the judge's model", async () => {
    const { rows } = await read(official);
    const shared = summarize(judged(rows, { rewardModel: "detector-b@0123abcdef456789" }), options);
    expect(shared.warnings).toEqual([expect.stringContaining("shares the judge's model")]);
    expect(formatSummary(shared)).toContain("WARNING: reward shares the judge's model");
    expect(summarize(judged(rows, { rewardModel: "detector-a@99990000" }), options).warnings).toEqual([]);
    const judge = "detector-b@0123abcd, colors=clip@11112222, threshold=0.5";
    expect(sharesModel("dino@5+detector-b@0123abcdef", judge)).toBe(true);
    expect(sharesModel("clip@11112222ffff", judge), "the colours' model is a part of the judge").toBe(true);
    expect(sharesModel("clip@33334444", judge)).toBe(false);
  });

  it("sum the cost that rows carry", async () => {
    const { rows } = await read(official);
    const { cost } = summarize(judged(rows, { flops: 2e9 }), { ...options, searchSeconds: 4 });
    expect(cost).toEqual({ flops: 16e9, flopsPerImage: 2e9, searchSeconds: 4 });
  });
});

describe("comparison", () => {
  it("pairs by prompt and sample and lists flips", async () => {
    const { rows } = await read(official);
    const flip = (names: readonly string[], correct: boolean): ResultRow[] =>
      rows.map((row) => (names.some((name) => row.filename.endsWith(name)) ? { ...row, correct } : row));
    // bus: fails both -> passes both; dog: one of two is lost.
    const other = flip(["00003/samples/0000.png", "00003/samples/0001.png"], true).map((row) =>
      row.filename.endsWith("00000/samples/0001.png") ? { ...row, correct: false } : row,
    );
    const result = compareResults(rows, other.toReversed(), options);
    expect(result).toMatchObject({ prompts: 4, pairs: 8, unpaired: 0 });
    expect(result.overall).toMatchObject({ a: 0.5, b: (2 / 4 + 3 / 4) / 2 });
    expect(result.overall.newPrompts.estimate).toBeCloseTo(0.125, 12);
    const byTag = Object.fromEntries(result.byTag.map((row) => [row.tag, row.mcnemar]));
    expect(byTag["counting"]).toMatchObject({ onlyA: 0, onlyB: 2, p: 1, pHolm: 1 });
    expect(byTag["single_object"]).toMatchObject({ onlyA: 1, onlyB: 0 });
    expect(result.flips.map(({ prompt, a, b, flipped }) => [prompt, a, b, flipped])).toEqual([
      ["a photo of a bus", 0, 2, true],
      ["a photo of a dog", 2, 1, false],
    ]);
    expect(compareResults(rows, rows, options)).toMatchObject({
      flips: [],
      // Four prompts that do not differ say little of others.
      overall: { newPrompts: { estimate: 0, low: -1, high: 1 }, p: 1 },
    });
  });

  it("refuses sets without a common prompt", async () => {
    const { rows } = await read(official);
    const [a, b] = [rows.slice(0, 4), rows.slice(4)];
    expect(() => compareResults(a, b, options)).toThrow(/no prompt in common/);
  });
});

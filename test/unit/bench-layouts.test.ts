import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { benchmarkRegistry } from "../../src/assemble/builtins.ts";
import { openBenchJudge } from "../../src/assemble/open-bench-judge.ts";
import type { Atom, Benchmark, BenchmarkItem } from "../../src/core/benchmark.ts";
import { compareJudges } from "../../src/eval/agreement.ts";
import { dpg } from "../../src/eval/benchmarks/dpg.ts";
import { geneval2 } from "../../src/eval/benchmarks/geneval-2.ts";
import { homeGeneval2 } from "../../src/eval/benchmarks/home-geneval-2.ts";
import { longtext } from "../../src/eval/benchmarks/longtext.ts";
import { parseCsv } from "../../src/eval/benchmarks/source.ts";
import { sharesFound, unitsOf } from "../../src/eval/benchmarks/text-units.ts";
import { wise } from "../../src/eval/benchmarks/wise.ts";
import type { ResultRow } from "../../src/eval/results.ts";
import { summarize, tagShares } from "../../src/eval/summary.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-bench-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  await mkdir(join(dir, name, ".."), { recursive: true });
  await writeFile(join(dir, name), content);
  return join(dir, name);
}

const jsonl = (...rows: unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** Rows in the official form, written for this test, and where images of their items go. */
const sources: readonly (readonly [
  name: string,
  file: string,
  content: string,
  images: readonly string[],
])[] = [
  [
    "geneval-2",
    "g2.jsonl",
    jsonl({
      prompt: "two red cups",
      atom_count: 3,
      vqa_list: [
        ["How many cups are in the image?", "two"],
        ["Are the cups red?", "Yes"],
        ["Are there any cups in the image?", "Yes"],
      ],
      skills: ["count", "attribute", "object"],
    }),
    ["images/00000_0.png", "images/00000_1.png"],
  ],
  [
    "dpg",
    "dpg.csv",
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n" +
      'a1,"A dog, ""Rex"", runs",x,1,0,entity,whole,entity - whole (dog),Is there a dog?\n' +
      'a1,"A dog, ""Rex"", runs",x,2,"1,3",action,state,"action - (dog, run)",Does the dog run?\n' +
      "a1,x,x,3,0,entity,whole,entity - whole (grass),Is there grass?\n" +
      "b2,A cat,x,1,0,entity,whole,entity - whole (cat),Is there a cat?\n",
    ["samples/a1_0.png", "samples/a1_1.png", "samples/b2_0.png", "samples/b2_1.png"],
  ],
  [
    "compbench",
    "sets/color_val.txt",
    "a green bench and a blue bowl\na red car and a white sheep\n",
    [
      ...[
        "color/samples/a green bench and a blue bowl_000000.png",
        "color/samples/a green bench and a blue bowl_000001.png",
      ],
      ...[
        "color/samples/a red car and a white sheep_000010.png",
        "color/samples/a red car and a white sheep_000011.png",
      ],
    ],
  ],
  [
    "wise",
    "wise.json",
    JSON.stringify([
      { Prompt: "A birch in October", Explanation: "yellow", Category: "Biology", prompt_id: 641 },
      { Prompt: "Noon in Rome", prompt_id: 401 },
    ]),
    ["images-0/401.png", "images-1/401.png", "images-0/641.png", "images-1/641.png"],
  ],
  [
    "tiif",
    "tiif.jsonl",
    jsonl({ type: "action+2d", short_description: "A cat sits.", long_description: "A cat sits quietly." }),
    [
      ...[
        "output/action+2d/tts-var-0/short_description/0.png",
        "output/action+2d/tts-var-1/short_description/0.png",
      ],
      ...[
        "output/action+2d/tts-var-0/long_description/0.png",
        "output/action+2d/tts-var-1/long_description/0.png",
      ],
    ],
  ],
  [
    "oneig",
    "oneig.csv",
    'category,id,prompt_en,type,prompt_length,class\nPortrait,007,"An old man, laughing",NP,short,\n',
    ["samples/human/007_0.png", "samples/human/007_1.png"],
  ],
  [
    "longtext",
    "longtext.jsonl",
    jsonl({ prompt: 'A sign: "OPEN"', prompt_id: 3, text: ["OPEN"], category: "sign", length: "short" }),
    ["images/3_0.png", "images/3_1.png"],
  ],
];

describe.each(sources)("%s", (name, path, content, images) => {
  let benchmark: Benchmark;
  let items: readonly BenchmarkItem[];
  beforeAll(async () => {
    benchmark = await benchmarkRegistry.load(name);
    items = await benchmark.items(await file(path, content), "0");
  });

  test("puts images where its own scripts look for them, and finds them there", () => {
    const made = items.flatMap((item, index) =>
      [0, 1].map((sample) => benchmark.layout.image(index, sample, item)),
    );
    expect(made).toEqual(images);
    expect(new Set(made.map((each) => each.toLowerCase())).size).toBe(made.length);
    expect(made.map((each) => benchmark.layout.place(each).sample)).toEqual(made.map((_, at) => at % 2));
  });

  test("reads the items that it writes", () => {
    for (const item of items) expect(benchmark.parse(JSON.parse(JSON.stringify(item)), "row")).toEqual(item);
    expect(() => benchmark.parse({ prompt: "x" }, "prompts.jsonl:7")).toThrow(
      /^prompts\.jsonl:7: no row of /,
    );
  });

  test("names file and line of a bad row, and a file that is missing", async () => {
    await expect(benchmark.items(join(dir, "none"), "0")).rejects.toThrow(/none/);
    const bad = path.endsWith(".txt")
      ? "a/b\n"
      : path.endsWith(".csv")
        ? `${content.split("\n")[0]}\n,,\nx,y\n`
        : "[{}]\n";
    await expect(benchmark.items(await file(`bad/${path}`, bad), "0")).rejects.toThrow(/bad/);
  });

  test("says who can judge it", async () => {
    const { judges } = benchmarkRegistry.list().find((row) => row.name === name)!;
    const signal = new AbortController().signal;
    if (judges.length === 0) {
      await expect(openBenchJudge(benchmark, {}, signal)).rejects.toThrow(/judged by its own scripts/);
    }
    const endpoint = { judge: "http://127.0.0.1:9/v1", model: "m" };
    const opened = openBenchJudge(benchmark, endpoint, signal);
    const problem = judges.includes("vlm") ? /judge m at .*cannot be reached/ : /brings no questions/;
    await expect(opened).rejects.toThrow(problem);
  });
});

test("GenEval 2's script gets a list of paths for each sample", async () => {
  const items = await geneval2.items(join(dir, "g2.jsonl"), "0");
  expect(items[0]).toMatchObject({
    tag: "3 atoms",
    questions: [{ expected: "two", skill: "count" }, {}, {}],
  });
  expect(geneval2.layout.files(items, 2).map(([name, text]) => [name, JSON.parse(text)])).toEqual([
    ["image_paths_0.json", { "two red cups": "images/00000_0.png" }],
    ["image_paths_1.json", { "two red cups": "images/00000_1.png" }],
  ]);
});

test("DPG's questions depend on others whatever their order, and count nothing without them", async () => {
  const [item] = await dpg.items(join(dir, "dpg.csv"), "0");
  expect(item).toMatchObject({ prompt: 'A dog, "Rex", runs', id: "a1", tag: "all" });
  const { questions } = item as unknown as { questions: Atom[] };
  expect(questions.map(({ question, skill, parent }) => [question, skill, parent])).toEqual([
    ["Is there a dog?", "entity", []],
    ["Is there grass?", "entity", []],
    ["Does the dog run?", "action", [0, 1]],
  ]);
  const atoms = questions.map((question, at) => ({ ...question, p: [0.9, 0.2, 0.8][at]! }));
  expect(dpg.aggregate(atoms)).toBeCloseTo((0.9 + 0.2) / 3, 12);
  expect(dpg.figures!([{ item: item!, correct: false, atoms }])).toEqual([
    { name: "by yes and no", value: expect.closeTo(1 / 3, 12) },
  ]);
  expect(dpg.layout.grid(0, item!)).toEqual({ path: "images/a1.png", columns: 2, gap: 0 });
  const loop =
    "item_id,text,proposition_id,dependency,tuple,question_natural_language\nq,t,1,2,e,A?\nq,t,2,1,e,B?\n";
  await expect(dpg.items(await file("loop.csv", loop), "0")).rejects.toThrow(/depends on itself/);
});

test("WISE's fields weigh what its paper says; those that are missing leave their weight to others", () => {
  const scores = (tags: string[]) => tags.map((tag) => ({ tag, correct: 1, images: 2, accuracy: 0.5 }));
  expect(tagShares(wise, scores(["CULTURE", "TIME"]))?.get("CULTURE")).toBeCloseTo(0.4 / 0.52, 12);
  expect([...tagShares(wise, scores([...wise.tags]))!.values()].reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  expect(() => tagShares(wise, scores(["MAGIC"]))).toThrow(/none of the tags MAGIC has a weight/);
});

test("LongText counts words once each, or Chinese characters, and pools over the set", () => {
  expect(unitsOf("Caf\u00e9, No. 7!")).toEqual(["caf\u00e9", "no", "7"]);
  expect(unitsOf("\u4f60\u597d AB")).toEqual(["\u4f60", "\u597d", "A", "B"]);
  expect(sharesFound(["open the open", "door"], "OPEN. door, door")).toEqual([1 / 3, 1]);
  const atom = (expected: string, p: number): Atom => ({
    question: "?",
    expected,
    p,
    skill: "text",
    parent: [],
  });
  const image = (atoms: Atom[]) => ({ item: {} as never, correct: false, atoms });
  const figures = longtext.figures!([image([atom("a b c", 1)]), image([atom("d", 0)])]);
  expect(figures).toEqual([{ name: "text score", value: 0.75 }]);
});

test("CSV cells may hold commas, quotes and line breaks", () => {
  expect(parseCsv('a,"b, ""c""\nd"\r\n,\n1,2')).toEqual([
    ["a", 'b, "c"\nd'],
    ["1", "2"],
  ]);
});

test("home-GenEval-2 asks what its scenes say, the same for the same seed", async () => {
  const items = await homeGeneval2.items("40", "1");
  expect(await homeGeneval2.items("40", "1")).toEqual(items);
  expect(await homeGeneval2.items("40", "2")).not.toEqual(items);
  expect(new Set(items.map(({ prompt }) => prompt)).size).toBe(40);
  expect([...new Set(items.map(({ tag }) => tag))].sort()).toEqual(["3 atoms", "4 atoms", "5 atoms"]);
  const counted = items[0]!;
  const [{ class: name, count, color }] = counted.include as [
    { class: string; count: number; color: string },
  ];
  expect(counted.prompt).toContain(` ${color} `);
  expect(counted.questions[0]!.question).toMatch(/^How many /);
  expect(["two", "three", "four"][count - 2]).toBe(counted.questions[0]!.expected);
  expect(name.length).toBeGreaterThan(2);
  const related = items[4]!;
  expect(related.include[1]!.position).toEqual([expect.any(String), 0]);
  expect(related.questions.at(-1)).toMatchObject({ skill: "position", expected: "Yes" });
  await expect(homeGeneval2.items("0", "1")).rejects.toThrow(/from 1 to 5000/);
});

describe("two judges on the same images", () => {
  const row = (filename: string, correct: boolean, judge: string, ps: readonly number[] = []): ResultRow => ({
    ...{ filename, tag: filename.startsWith("a") ? "x" : "y", prompt: "p", correct, reason: "why", judge },
    ...{ metadata: { prompt: filename, tag: "x" }, details: {} },
    ...(ps.length > 0
      ? {
          score: 1,
          atoms: ps.map((p, at) => ({ question: `q${at}`, expected: "Yes", p, skill: "s", parent: [] })),
        }
      : {}),
  });
  const names = ["a1", "a2", "b1", "b2"];
  const rows = (judge: string, right: readonly boolean[]) =>
    names.map((name, at) => row(name, right[at]!, judge, [Number(right[at]), 0.5]));

  test("stand side by side: never averaged, with what they differ on", () => {
    const compared = compareJudges(
      rows("d@1", [true, true, false, false]),
      rows("v@2", [true, false, false, true]),
    );
    expect(compared.images).toEqual([
      { name: "all", count: 4, both: 1, onlyA: 1, onlyB: 1, neither: 1, agree: 0.5, kappa: 0 },
      { name: "x", count: 2, both: 1, onlyA: 1, onlyB: 0, neither: 0, agree: 0.5, kappa: 0 },
      { name: "y", count: 2, both: 0, onlyA: 0, onlyB: 1, neither: 1, agree: 0.5, kappa: 0 },
    ]);
    expect(compared.questions).toMatchObject([{ name: "s", count: 8, both: 5, agree: 0.75 }]);
    expect(compared.differing.map(({ filename, a, b }) => [filename, a, b])).toEqual([
      ["a2", "right", "why"],
      ["b2", "why", "right"],
    ]);
    expect(JSON.stringify(compared)).not.toMatch(/mean|average/);
  });

  test("must be two, on the same images", () => {
    const all = [true, true, true, true];
    expect(() => compareJudges(rows("d@1", all), rows("d@1", all))).toThrow(/both results are d@1's/);
    expect(() => compareJudges(rows("d@1", all), [row("c", true, "v@2")])).toThrow(/no image in common/);
    const other = { ...row("a1", true, "v@2"), metadata: { prompt: "else", tag: "x" } };
    expect(() => compareJudges(rows("d@1", all), [other])).toThrow(/a1 is not the same image/);
  });

  test("a table has figures of the whole set, weighted as the benchmark says", () => {
    const scored = rows("v@2", [true, false, false, false]).map((each, at) => ({
      ...each,
      score: [1, 0, 0, 0][at]!,
    }));
    const tagged = scored.map((each, at) => ({ ...each, tag: at < 1 ? "3 atoms" : "4 atoms" }));
    const summary = summarize(tagged, { benchmark: geneval2 });
    expect(summary.overall).toBe(0.25);
    expect(summary.intervals.overall.estimate).toBe(0.25);
    expect(summary.figures).toEqual([
      { name: "Soft-TIFA AM", value: (0.75 + 3 * 0.25) / 4 },
      { name: "Soft-TIFA GM", value: expect.closeTo(Math.sqrt(0.5) / 4, 12) },
    ]);
  });
});

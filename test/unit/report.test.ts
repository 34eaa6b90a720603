import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { searchSchema } from "../../src/config/schema.ts";
import { FULL_VIEW } from "../../src/core/generator.ts";
import { compareIds } from "../../src/core/ids.ts";
import type { TraceEvent } from "../../src/core/trace.ts";
import { decodePng } from "../../src/io/png.ts";
import { renderContactSheet, sheetKey } from "../../src/report/contact-sheet.ts";
import { packPreviews, previewsOf } from "../../src/report/previews.ts";
import { renderReport } from "../../src/report/render-report.ts";
import { type ReportInput, reportModel } from "../../src/report/report-model.ts";
import { readHistory } from "../../src/report/search-history.ts";
import { readReport } from "../../src/run/read-report.ts";
import { runHere } from "../e2e/support/run-here.ts";

const step = (stage: number, ids: string[]): TraceEvent => ({
  ...{ type: "step", population: 0, stage, ids },
  ...{ tokens: ids, signals: {} },
});
const why = { rule: "resample", lambda: 10, weights: [0.25, 0.5, 0.25], labels: [0, 1, 0] };
const events: TraceEvent[] = [
  { type: "start", population: 0, ids: ["c0", "c1", "c2"] },
  step(0, ["c0", "c1", "c2"]),
  {
    type: "scores",
    population: 0,
    stage: 0,
    reward: "r",
    view: FULL_VIEW,
    ids: ["c0", "c1", "c2"],
    raw: [1, 3, 2],
  },
  { type: "scores", population: 0, stage: 0, reward: "other", view: FULL_VIEW, ids: ["c0"], raw: [9] },
  { type: "select", population: 1, from: 0, picks: [1, 1], ids: ["c1", "c1.1"], why },
  step(1, ["c1", "c1.1"]),
  {
    ...{ type: "end", best: "c1.1", finalists: ["c1", "c1.1"] },
    spending: {
      total: 1,
      byKind: { text: 0, transformer: 1, decode: 0, features: 0, reward: 0 },
      byStage: [1],
    },
  },
];

describe("search history", () => {
  it("says who lived, who went on and how they scored", () => {
    const history = readHistory(events, "r");
    expect(history.ids).toEqual(["c0", "c1", "c1.1", "c2"]);
    expect(history.best).toBe("c1.1");
    expect([...history.stages[0]!.kept]).toEqual(["c1", "c1.1"]);
    expect([...history.stages[0]!.scores]).toEqual([
      ["c0", 1],
      ["c1", 3],
      ["c2", 2],
    ]);
    expect(history.stages[1]!.alive).toEqual(["c1", "c1.1"]);
  });

  it("orders lineages like numbers", () => {
    expect(["c10", "c2.10", "c2", "c2.2.1", "c2.2"].sort(compareIds)).toEqual([
      "c2",
      "c2.2",
      "c2.2.1",
      "c2.10",
      "c10",
    ]);
  });
});

const atom = (question: string, p: number, parent: number[] = []) => ({
  ...{ question, expected: "yes", p, skill: "object", parent },
});
const input: ReportInput = {
  record: {
    ...{
      status: "done",
      configHash: "0".repeat(64),
      models: { generator: "g@1" },
      versions: { "tts-var": "1" },
    },
    config: searchSchema.parse({ task: { prompt: "two <b>cups</b>" }, reward: { name: "r" } }),
  },
  events,
  candidates: [
    { id: "c1", scores: { r: 1 } },
    {
      ...{ id: "c1.1", scores: { r: 2 } },
      verdict: {
        reason: "no cup",
        atoms: [atom("A cup?", 0.2), atom("Is it red?", 0.9, [0]), atom("A cat?", 1)],
      },
    },
  ],
  budget: { units: 4, spent: 3, unit: 100, byKind: { transformer: 200, decode: 100 } },
  costs: [{ stage: 0, label: "1x1", flops: { transformer: 100 } }],
};

describe("the report's model", () => {
  const model = reportModel(input);

  it("knows parents, fates, clusters and weights of every candidate", () => {
    expect(model.stages[0]).toMatchObject({ label: "1x1", kept: 1, facts: { rule: "resample", lambda: 10 } });
    expect(model.stages[0]!.cells.map(({ id, fate, score, cluster }) => [id, fate, score, cluster])).toEqual([
      ["c0", "dropped", 1, 0],
      ["c1", "kept", 3, 1],
      ["c2", "dropped", 2, 0],
    ]);
    expect(model.stages[0]!.cells[1]!.values).toEqual({ weights: 0.5 });
    expect(model.stages[1]!.cells.map(({ id, from, fate }) => [id, from, fate])).toEqual([
      ["c1", "c1", "finished"],
      ["c1.1", "c1", "answer"],
    ]);
  });

  it("counts an atom as failed if what it depends on fails, and tells how to repeat the search", () => {
    expect(model.finalists[1]!.atoms.map(({ holds }) => holds)).toEqual([false, false, true]);
    expect(model.command).toBe("npx tts-var search --prompt 'two <b>cups</b>' --reward r --seed 0");
  });

  it("becomes a page in which no text is markup", () => {
    const page = renderReport(model, { answer: null, preview: () => null });
    expect(page).toContain("two &lt;b&gt;cups&lt;/b&gt;");
    expect(page).not.toContain("<b>");
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).toContain("default-src 'none'");
    expect(page).toMatch(/failed: A cup\? yes/);
    expect(page).toContain("3.00 of 4 units");
  });

  it("shows small pictures as data, and nothing that only looks like them", async () => {
    const red = { width: 300, height: 100, data: new Uint8Array(90_000).fill(200) };
    const [row] = await packPreviews([{ stage: 1, id: "c1", image: red }]);
    const image = await decodePng(Buffer.from(row!.webp, "base64"));
    expect([image.width, image.height]).toEqual([128, 43]);
    const preview = previewsOf([row!, { stage: 2, id: "c1", webp: '"><script>' }]);
    expect(preview(1, "c1")).toBe(`data:image/webp;base64,${row!.webp}`);
    expect(preview(2, "c1")).toBeNull();
  });
});

describe("contact sheet", () => {
  const red = {
    width: 4,
    height: 4,
    data: new Uint8Array(48).fill(0).map((_, index) => (index % 3 === 0 ? 250 : 0)),
  };

  it("puts candidates of a stage side by side, without empty places, and frames the answer in gold", async () => {
    const model = reportModel(input);
    const bytes = await renderContactSheet({ model, images: new Map([[sheetKey(1, "c1.1"), red]]) });
    const { width, height, data } = await decodePng(bytes);
    // Nobody looked at the first stage; below the second's pictures stand two lines of what failed.
    expect([width, height]).toEqual([560, 60 + 22 + (112 + 16 + 2 * 13 + 10) + 10 + 10]);
    const pixel = (x: number, y: number) => [...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
    const [left, top] = [128 + 122, 60 + 22];
    expect(pixel(left + 56, top + 56)).toEqual([250, 0, 0]);
    expect(pixel(left + 56, top - 1)).toEqual([0xe0, 0xa1, 0x00]);
    expect(pixel(128 + 20, top + 20)).toEqual([255, 255, 255]);
  });

  it("wraps many candidates into lines that can be read", async () => {
    const ids = Array.from({ length: 64 }, (_, index) => `c${index}`);
    const wide = reportModel({ ...input, candidates: [], events: [step(0, ids)] });
    const images = new Map(ids.map((id) => [sheetKey(0, id), red]));
    const { width, height } = await decodePng(await renderContactSheet({ model: wide, images }));
    expect([width, height]).toEqual([128 + 16 * 90 + 10, 60 + 4 * (80 + 16 + 10) + 10 + 10]);
  });
});

describe("tts-var report", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tts-var-report-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it("writes what the search would have written, and nothing of others is replaced", async () => {
    const run = join(dir, "run");
    const toy = ["--model", "toy", "--strategy", "best-of-n", "--budget", "2", "--quiet"];
    expect((await runHere(["search", "-p", "a dog", ...toy, "--out", run])).code).toBe(0);
    const page = join(run, "report.html");
    const written = await readFile(page, "utf8");
    expect(await runHere(["report", run])).toMatchObject({ code: 0, stdout: `report  ${page}\n` });
    expect(await readFile(page, "utf8")).toBe(written);

    await writeFile(page, "mine");
    const { code, stderr } = await runHere(["report", run]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("report.html")]);
    expect((await runHere(["report", run, "--force"])).code).toBe(0);

    expect((await runHere(["search", "-p", "a dog", ...toy, "--report", "none", "--out", run])).code).toBe(0);
    expect(existsSync(page)).toBe(false);
    expect((await runHere(["report", run])).code).toBe(0);
    expect(await readFile(page, "utf8")).toBe(written);

    // Whoever edits a trace writes no markup into the page.
    const trace = join(run, "trace.jsonl");
    await writeFile(trace, (await readFile(trace, "utf8")).replaceAll('"c0"', '"<b>c0"'));
    await expect(readReport(run)).rejects.toThrow(/trace.jsonl is not of a search/);
  });

  it("knows studies, and says what it needs of other folders", async () => {
    expect((await runHere(["report", dir])).stderr).toMatch(/holds no search .* no judged GenEval run/);
    const lines = [
      {
        schemaVersion: 1,
        command: "tts-var study run",
        versions: {},
        config: {},
        tags: ["a", "b"],
        replicates: 1,
      },
      { trees: ["01", "11"] },
      { arm: "single", units: 1, mode: "tree", correct: "01", scores: [0, 1], spent: [1, 1] },
      { arm: "best-of-n", units: 2, mode: "tree", correct: "11", scores: [1, 1], spent: [2, 2] },
    ];
    await writeFile(join(dir, "answers.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    expect((await runHere(["report", dir])).code).toBe(0);
    const page = await readFile(join(dir, "report.html"), "utf8");
    expect(page).toContain("best-of-n at 2");
    expect(page.match(/data-o="(01|11)"/g)).toEqual(['data-o="01"', 'data-o="11"']);
  });
});

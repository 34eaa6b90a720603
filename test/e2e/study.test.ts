import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runHere } from "./support/run-here.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-study-"));
});
afterAll(() => rm(dir, { recursive: true }));

const arm = (name: string, strategy: object, more: object = {}) => ({ name, strategy, ...more });

/** A study small enough for a test, on the embedded models. */
async function writeStudy(name: string, changes: object = {}): Promise<string> {
  const study = {
    title: "Tiny",
    search: { model: "embedded", reward: "clip" },
    rewards: { geneval: { name: "geneval" } },
    finalRewards: ["geneval"],
    reliabilities: [0.5],
    prompts: { seed: "tiny", count: 3 },
    replicates: 1,
    budgets: [2],
    tree: { width: 4, previews: [0.5], scales: [3, 4] },
    draws: 100,
    arms: [
      arm("best-of-n", { name: "best-of-n" }),
      arm("random", { name: "random" }),
      arm("oracle", { name: "oracle", options: { judge: "judge" } }),
      arm("by geneval", { name: "oracle", options: { judge: "geneval" } }),
      arm("half right", { name: "oracle", options: { judge: "judge-0.5" } }),
      arm("tts-var", { name: "tts-var" }, { features: { reduction: "pool" } }),
      arm("unguided end", { name: "best-of-n" }, { sampling: { guidanceUntil: 5 }, live: true }),
    ],
    contrasts: [{ of: { arm: "oracle", units: 2 }, against: { arm: "random", units: 2 } }],
    ...changes,
  };
  const file = join(dir, `${name}.yaml`);
  await writeFile(file, JSON.stringify(study));
  return file;
}

const runStudy = async (file: string, ...flags: string[]) => {
  const argv = ["study", "run", file, "--out", dir, "--json", "--quiet", ...flags];
  const { code, stdout, stderr } = await runHere(argv);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
};

describe("study run", { timeout: 180_000 }, () => {
  it("writes its report, and the same again from what it has recorded", async () => {
    const file = await writeStudy("tiny");
    const first = await runStudy(file);
    const files = await readdir(join(dir, "tiny"));
    expect(files.sort()).toEqual([
      "README.md",
      "answers.jsonl",
      "previews.svg",
      "rows",
      "scores.svg",
      "table.json",
      "table.md",
    ]);
    expect(await readFile(join(dir, "tiny", "README.md"), "utf8")).toContain("| oracle at 2 | random at 2 |");

    const rows = new Map(first.rows.map((row: { arm: string }) => [row.arm, row]));
    const spent = (name: string): number => (rows.get(name) as { spent: number }).spent;
    expect(spent("oracle")).toBeCloseTo(spent("random"), 12);
    // Ends of images without guidance are cheaper, so that the same FLOPs draw no more than two of them here.
    expect(spent("unguided end")).toBeLessThan(spent("best-of-n"));
    expect((rows.get("tts-var") as { mode: string }).mode).toBe("live");
    expect(first.contrasts[0].difference.estimate).toBeGreaterThanOrEqual(0);
    const views = first.previews.map(
      ({ view, size, scale }: Record<string, unknown>) => `${view} ${size} ${scale}`,
    );
    expect(views).toContain("reward 4x4 3");
    expect(views).toContain("guidanceGap signal 3");
    expect(await runStudy(file)).toEqual(first);

    const [folder, written] = [join(dir, "tiny"), ["table.json", "table.md", "README.md", "scores.svg"]];
    const read = () => Promise.all(written.map((name) => readFile(join(folder, name), "utf8")));
    const before = await read();
    const again = await runHere(["study", "report", folder, "--json"]);
    expect([again.code, JSON.parse(again.stdout)]).toEqual([0, first]);
    expect(await read()).toEqual(before);
    const none = await runHere(["study", "report", dir]);
    expect([none.code, none.stderr]).toEqual([5, expect.stringMatching(/cannot read .*answers\.jsonl/)]);
  });

  it("warns of a reward that shares the judge's model, and says where it is without a terminal", async () => {
    const file = await writeStudy("shared", {
      judge: "detector-a",
      arms: [arm("best-of-n", { name: "best-of-n" })],
      contrasts: [],
      tree: { width: 2, previews: [0.5], scales: [] },
    });
    const { code, stderr } = await runHere(["study", "run", file, "--out", dir]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: the reward geneval shares the judge's model/);
    expect(stderr).toMatch(/1 of 3 trees/);
  });

  it("runs once for each of several models, and puts them side by side", async () => {
    const halving = { name: "halving", options: { calibrated: false, scales: [2] } };
    const canvas = resolve("test/fixtures/models/canvas-tiny/vq-ddm");
    const study = {
      search: { reward: "clip", calibration: "none" },
      tree: { width: 4, previews: ["draft"], scales: [2], copies: 1 },
      ...{ rewards: {}, finalRewards: [], reliabilities: [], contrasts: [] },
      arms: [
        arm("best-of-n", { name: "best-of-n" }),
        arm("halving", halving),
        arm("live", halving, { live: true }),
      ],
    };
    const { models } = await runStudy(
      await writeStudy("several", { ...study, models: ["embedded", canvas] }),
    );
    expect(models.map(({ model }: { model: string }) => model)).toEqual(["embedded", canvas]);
    for (const { rows } of models) {
      const [offline, live] = ["halving", "live"].map((name) =>
        rows.find((row: { arm: string }) => row.arm === name),
      );
      // Also where strategies look ahead, which a tree has recorded under names of their own.
      expect(live).toMatchObject({ mode: "live", judged: offline.judged, reward: offline.reward });
      expect(offline.mode).toBe("offline");
    }
    const sizes = new Set(models[1].previews.map(({ size }: { size: string }) => size));
    expect(sizes).toContain("draft ahead");
    expect(models[1].decided.map(({ scale }: { scale: number }) => scale)).toEqual([2]);

    const folder = join(dir, "several");
    const readme = await readFile(join(folder, "README.md"), "utf8");
    expect(readme).toContain("| embedded | decided |");
    const again = await runHere(["study", "report", folder, "--json"]);
    expect([again.code, JSON.parse(again.stdout).models]).toEqual([0, models]);
    expect(await readFile(join(folder, "README.md"), "utf8")).toBe(readme);

    const blind = await writeStudy("blind", { ...study, models: ["toy"] });
    const { code, stderr } = await runHere(["study", "run", blind, "--out", dir, "--quiet"]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/draft look .* it drafts nothing/)]);
  });

  it("leaves out the scenes of other sets, or says that there are too few", async () => {
    const sets = { seed: "tiny", count: 300, disjointFrom: ["tuning:553"] };
    const { code, stderr } = await runHere([
      ...["study", "run", await writeStudy("disjoint", { prompts: sets }), "--out", dir],
    ]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/single_object has only 0 unused scenes/)]);
  });

  it("forgets only the arms that have changed, and lends its trees", async () => {
    const cells = async (): Promise<string[]> =>
      (await readFile(join(dir, "tiny", "rows", "cells.jsonl"), "utf8")).trim().split("\n");
    const before = await cells();
    await writeStudy("tiny", {
      arms: [
        arm("best-of-n", { name: "best-of-n" }),
        arm("tts-var", { name: "tts-var" }, { features: { reduction: "pool" } }),
        arm("unguided end", { name: "best-of-n" }, { sampling: { guidanceUntil: 4 }, live: true }),
      ],
      contrasts: [],
    });
    await runStudy(join(dir, "tiny.yaml"));
    const after = await cells();
    const of = (rows: string[], name: string): string[] =>
      rows.filter((row) => row.includes(`"arm":"${name}"`));
    expect(of(after, "tts-var")).toEqual(of(before, "tts-var"));
    expect(of(after, "unguided end")).toHaveLength(3);

    const borrower = await runStudy(
      await writeStudy("borrower", {
        treesOf: "tiny",
        arms: [arm("best-of-n", { name: "best-of-n" })],
        contrasts: [],
      }),
    );
    expect(borrower.rows[0].mode).toBe("offline");
    expect(await readFile(join(dir, "borrower", "rows", "trees.jsonl"), "utf8")).toBe("");
  });

  it("finds the same with one generator as with two side by side", async () => {
    const arms = [
      arm("best-of-n", { name: "best-of-n" }, { live: true }),
      arm("spread", { name: "spread", options: { n: 2, ratio: 1 } }, { live: true }),
    ];
    const tree = { width: 2, scales: [] };
    const plain = { rewards: {}, finalRewards: [], reliabilities: [], contrasts: [] };
    const tables = [];
    for (const count of ["1", "2"]) {
      const file = await writeStudy(`generators-${count}`, { ...plain, arms, tree });
      tables.push(await runStudy(file, "--generators", count));
    }
    const [one, two] = tables;
    expect(two.rows).toEqual(one.rows);
    expect(two.previews).toEqual(one.previews);
  });

  it("refuses rows of other prompts, and contrasts that no arm runs", async () => {
    const moved = await writeStudy("tiny", { prompts: { seed: "moved", count: 3 } });
    const stale = await runHere(["study", "run", moved, "--out", dir]);
    expect([stale.code, stale.stderr]).toEqual([5, expect.stringMatching(/another version of this study/)]);
    const wrong = await writeStudy("wrong", {
      contrasts: [{ of: { arm: "oracle", units: 3 }, against: { arm: "random", units: 2 } }],
    });
    const refused = await runHere(["study", "run", wrong, "--out", dir]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/oracle at 3 units/)]);
  });
});

describe("calibrate", { timeout: 180_000 }, () => {
  it("writes curves, schedules and acceptance, which searches then use", async () => {
    const argv = ["calibrate", "--prompts", "6", "--samples", "3", "--copies", "1", "--previews", "0.5,1"];
    const made = await runHere([...argv, "--verifier", "geneval", "--dir", dir, "--json", "--quiet"]);
    expect(made.code).toBe(0);
    const { file, plot, scales, schedules, acceptance } = JSON.parse(made.stdout);
    expect(scales).toHaveLength(6);
    expect(scales.at(-1)).toMatchObject({ correlation: 1, decided: 1 });
    expect(schedules.map(({ units }: { units: number }) => units)).toEqual([2, 3, 4, 6, 8, 12, 16]);
    expect(acceptance.verifier).toBe("geneval");
    const { measured } = JSON.parse(await readFile(file, "utf8"));
    expect(measured).toMatchObject({ prompts: 6, samples: 3, copies: 1, preview: "0.5" });
    expect(measured.command).toMatch(
      /^tts-var calibrate --prompts 6 --samples 3 --copies 1 .* --verifier geneval/,
    );
    expect(measured.intervals[0].decided[0]).toBeLessThan(measured.intervals[0].decided[1]);
    expect(await readFile(plot, "utf8")).toMatch(/^<svg/);
    for (const strategy of ["halving", "calibrated-stop"]) {
      const search = ["search", "-p", "a photo of a dog", "--budget", "2", "--strategy", strategy];
      const out = [
        "--calibration",
        file,
        "--sheet",
        "none",
        "--report",
        "none",
        "--out",
        join(dir, strategy),
        "--json",
      ];
      const { code, stdout } = await runHere([...search, ...out]);
      expect(code).toBe(0);
      expect(JSON.parse(stdout).budget.spent).toBeLessThanOrEqual(2);
    }
  });
});

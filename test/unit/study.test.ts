import { describe, expect, it } from "vitest";
import { optimiseSchedule, priceOfSchedule } from "../../search/parts/optimise-schedule.ts";
import type { Judge } from "../../src/core/benchmark.ts";
import { dryRun } from "../../src/core/dry-run.ts";
import { FULL_VIEW } from "../../src/core/generator.ts";
import { createRng } from "../../src/core/rng.ts";
import { createSpace } from "../../src/engine/plan.ts";
import { runSearch } from "../../src/engine/run-search.ts";
import { generatePrompts } from "../../src/eval/geneval/prompts.ts";
import { controlRules } from "../../src/study/controls.ts";
import { decideOffline, NotRecorded } from "../../src/study/decide-offline.ts";
import { sumDecided, tabulateDecided } from "../../src/study/decided-table.ts";
import { measureAcceptance } from "../../src/study/measure-acceptance.ts";
import { calibrationIntervals, measureCalibration } from "../../src/study/measure-calibration.ts";
import { plotCalibration, plotStudy } from "../../src/study/plots.ts";
import { recordTree, type Tree } from "../../src/study/record-tree.ts";
import { runStudy } from "../../src/study/run-study.ts";
import { parseStudy } from "../../src/study/study-config.ts";
import {
  lookPrices,
  type StudyCell,
  type StudyParts,
  type StudyPlan,
  type TreeRow,
} from "../../src/study/study-plan.ts";
import { formatRecord, parseRecord, recordOf } from "../../src/study/study-record.ts";
import { describeTable } from "../../src/study/study-report.ts";
import { passShare, tabulate } from "../../src/study/study-table.ts";
import { virtualName, virtualScore } from "../../src/study/virtual-rewards.ts";
import {
  analyticFeatures,
  analyticGenerator,
  analyticReward,
  drawsOf,
} from "./support/analytic-generator.ts";
import { calibration, loadStrategy, planInputOf, searchInput } from "./support/search-run.ts";

const half = { size: 0.5, look: "now" } as const;
const { shape } = analyticGenerator().traits;
const treeOptions = {
  width: 24,
  rewards: ["sum"],
  previews: [half, FULL_VIEW],
  featurePreview: half,
  tokens: true,
  copies: 6,
};

describe("decideOffline", () => {
  it("decides exactly as a live run, for everything that never copies", async () => {
    const input = await searchInput("single", 4);
    const { tree } = await recordTree(input, treeOptions);
    for (const name of [
      "single",
      "best-of-n",
      "importance-sampling",
      "random",
      "halving",
      "cascade",
      "restart",
      "quality-diversity",
      "spread",
    ]) {
      const options = name === "cascade" ? { latePreview: 0.5 } : {};
      const live = { ...(await searchInput(name, 4, { options })) };
      const { best, spending } = await runSearch(live);
      const offline = decideOffline(planInputOf(live), tree);
      expect({ name, id: `c${offline.root}` }).toEqual({ name, id: best.id });
      expect(offline.spending).toEqual(spending);
    }
  });

  it("says so when a strategy copies or needs more than was recorded", async () => {
    const input = await searchInput("tts-var", 4, { options: { lambda: 100 } });
    const { tree } = await recordTree(input, treeOptions);
    expect(() => decideOffline(planInputOf(input), tree)).toThrow(NotRecorded);
    const { tokens: _, ...silent } = tree;
    const spread = await searchInput("spread", 4);
    expect(() => decideOffline(planInputOf(spread), silent)).toThrow(/no tokens/);
    const wide = await searchInput("best-of-n", 32);
    expect(() => decideOffline(planInputOf(wide), tree)).toThrow(/more than the tree's 24/);
  });
});

describe("measureCalibration", () => {
  it("finds the correlation and the decided variance of a process with known ones", async () => {
    const reward = analyticReward("sum", ({ image }) => drawsOf(image).reduce((sum, draw) => sum + draw, 0));
    const trees = [];
    for (let seed = 0; seed < 30; seed++) {
      const input = await searchInput("single", 4, {
        rewards: { sum: reward },
        task: { prompt: "a red cup", seed },
      });
      trees.push(
        (await recordTree(input, { ...treeOptions, features: false, featurePreview: false } as never)).tree,
      );
    }
    const input = {
      model: "m",
      reward: "sum",
      rewardVersion: "1",
      direction: "higher",
      scales: 6,
      preview: half,
      shape,
    } as const;
    const { scales } = measureCalibration(trees, input);
    for (const { scale, ...bounds } of calibrationIntervals(trees, input, 200)) {
      for (const figure of ["correlation", "decided"] as const) {
        const [low, high] = bounds[figure];
        expect(low).toBeLessThanOrEqual(scales[scale]![figure]);
        expect(high).toBeGreaterThanOrEqual(scales[scale]![figure]);
        if (scale < 5) expect(high - low).toBeGreaterThan(0.005);
      }
    }
    // A study finds what a calibration finds.
    const rows = trees.map((tree, prompt) => ({
      ...{ prompt, replicate: 0, tag: "colors", proposal: "own", correct: [] },
      tree,
    }));
    const decided = tabulateDecided(sumDecided(rows, "sum"), 200);
    expect(decided.map(({ scale }) => scale)).toEqual([0, 1, 2, 3, 4]);
    for (const { scale, decided: share } of decided) {
      expect(share.estimate).toBeCloseTo(scales[scale]!.decided, 4);
      expect(share.low).toBeLessThan(share.high);
    }
    // Six equal independent parts: after k + 1 of them, (k + 1) / 6 of the variance is known and decided.
    for (const [scale, { correlation, slope, decided }] of scales.entries()) {
      expect(Math.abs(correlation - Math.sqrt((scale + 1) / 6))).toBeLessThan(0.06);
      expect(Math.abs(slope - 1)).toBeLessThan(0.15);
      expect(Math.abs(decided - (scale + 1) / 6)).toBeLessThan(0.2);
    }
    expect(
      plotCalibration(
        [{ preview: "0.5", calibration: { ...calibration, scales } }],
        createSpace(planInputOf(await searchInput("single", 1)), () => 0).cost,
      ),
    ).toMatch(/^<svg/);
  });
});

describe("measureAcceptance", () => {
  const input = { reward: "sum", direction: "lower", verifier: "judge", fullMarks: 1, scales: 1 } as const;
  const treeOf = (rewards: readonly number[], right: readonly number[]): Tree => ({
    width: rewards.length,
    scores: { "sum@0": rewards.map((reward) => -reward), "judge@0": right },
    features: {},
    signals: [],
    copies: [],
  });

  it("finds the log odds and the prior that verdicts were drawn with", () => {
    const draws = createRng("acceptance", "").stream("stats", "draws", 0);
    let at = 0;
    const trees = Array.from({ length: 300 }, () => {
      const ease = draws.normal(at++);
      const rewards = Array.from({ length: 20 }, () => ease + draws.normal(at++));
      return treeOf(
        rewards,
        rewards.map((reward) => Number(draws.uniform(4 * at++) < 1 / (1 + Math.exp(1 - 2 * reward)))),
      );
    });
    const fitted = measureAcceptance(trees, input);
    expect(Math.abs(fitted.intercept + 1)).toBeLessThan(0.15);
    expect(Math.abs(fitted.slope - 2)).toBeLessThan(0.15);
    const shares = trees.map(({ scores }) => scores["judge@0"]!.reduce((sum, one) => sum + one, 0) / 20);
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const { right, wrong } = fitted.prior;
    expect(right / (right + wrong)).toBeCloseTo(mean, 9);
    // By numerical integration: logistic-normal shares of mean 0.38 and standard deviation 0.23.
    expect(Math.abs(right + wrong - 3.5)).toBeLessThan(0.4);
  });

  it("stays finite when all images are right, or the reward tells them apart without fail", () => {
    for (const right of [
      [1, 1, 1, 1],
      [0, 0, 1, 1],
    ]) {
      const { intercept, slope } = measureAcceptance([treeOf([1, 2, 3, 4], right)], input);
      expect([intercept, slope].every(Number.isFinite)).toBe(true);
      expect(slope).toBeGreaterThanOrEqual(-1e-9);
    }
  });
});

describe("virtual rewards", () => {
  it("agree with the verdict as far as their reliability says", () => {
    for (const reliability of [0, 0.4, 0.8, 1]) {
      const scores = Array.from({ length: 4000 }, (_, n) =>
        virtualScore(virtualName(reliability), n % 2 === 0, `c${n}`, { seed: "0", prompt: "p" }),
      );
      const mean = scores.reduce((sum, value) => sum + value, 0) / scores.length;
      const variance = scores.reduce((sum, value) => sum + (value - mean) ** 2, 0) / scores.length;
      const covariance =
        scores.reduce((sum, value, n) => sum + (value - mean) * (n % 2 === 0 ? 0.5 : -0.5), 0) / 4000;
      expect(Math.abs(covariance / Math.sqrt(variance) / 0.5 - reliability)).toBeLessThan(0.05);
    }
  });
});

describe("optimiseSchedule", () => {
  it("is priced as halving is charged, fits every budget, and expects more of larger ones", async () => {
    const space = createSpace(planInputOf(await searchInput("halving", 8)), (limit) => limit);
    const input = { calibration, cost: space.cost, reward: "sum", preview: half };
    let before = 0;
    for (const units of [1, 2, 4, 8]) {
      const schedule = optimiseSchedule({ ...input, units, trials: 30 });
      expect(priceOfSchedule(input, schedule)).toBeLessThanOrEqual(units * space.cost.unit);
      expect(schedule.expected).toBeGreaterThanOrEqual(before);
      before = schedule.expected;
      const run = { ...calibration, schedules: [schedule] };
      const planned = dryRun(await loadStrategy("halving"), {
        ...space,
        units,
        limit: units * space.cost.unit,
        calibration: run,
      });
      expect(planned.spending.total).toBeGreaterThanOrEqual(priceOfSchedule(input, schedule) * (1 - 1e-9));
    }
  });
});

describe("a study", () => {
  const { prompts } = generatePrompts({
    seed: "unit",
    counts: { single_object: 3, two_object: 3, counting: 2, colors: 2, position: 2, color_attr: 2 },
  });
  const judge: Judge = {
    id: "sign@0",
    flops: 0,
    judge: async (items) =>
      items.map(({ image }) => ({
        ...{ correct: drawsOf(image)[0]! > 0.5, reason: "", details: {} },
        atoms: [],
      })),
    async [Symbol.asyncDispose]() {},
  };
  const setUp = async () => {
    const generator = analyticGenerator();
    const parts: StudyParts = {
      generator,
      rewards: { sum: analyticReward() },
      primaryReward: "sum",
      features: analyticFeatures,
      calibration: null,
      judge,
    };
    const arms = [];
    for (const name of ["single", "best-of-n", "random", "oracle", "tts-var"]) {
      const search = await loadStrategy(name, name === "oracle" ? { judge: "judge" } : {});
      arms.push({ name, search, budgets: [2, 4], live: false });
    }
    const plan: StudyPlan = {
      seed: "0",
      prompts,
      replicates: 2,
      tree: { width: 8, previews: [half], scales: null, features: true, tokens: true, copies: 2 },
      finalRewards: [],
      reliabilities: [0.5],
      arms,
    };
    return { parts, plan };
  };
  const attempt = async (
    before: { trees: TreeRow[]; cells: StudyCell[] },
    failAfter = Number.POSITIVE_INFINITY,
  ) => {
    const { parts, plan } = await setUp();
    const stop = new AbortController();
    let added = 0;
    const add = <Row>(list: Row[], row: Row): void => {
      list.push(JSON.parse(JSON.stringify(row)) as Row);
      if (++added >= failAfter) stop.abort(new Error("killed"));
    };
    return runStudy(
      plan,
      parts,
      {
        trees: [...before.trees],
        cells: [...before.cells],
        addTree: (row) => add(before.trees, row),
        addCell: (row) => add(before.cells, row),
      },
      { jobs: 3, signal: stop.signal },
    );
  };

  it("puts the controls where they belong, and goes on after a kill to the same table", async () => {
    const whole = await attempt({ trees: [], cells: [] });
    const killed = { trees: [] as TreeRow[], cells: [] as StudyCell[] };
    await expect(attempt(killed, 10)).rejects.toThrow("killed");
    await expect(attempt(killed, 40)).rejects.toThrow("killed");
    expect(JSON.stringify(await attempt(killed))).toBe(JSON.stringify(whole));

    const after = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    const table = tabulate(recordOf(whole.trees, whole.cells, "sum", after), {
      reference: "best-of-n",
      draws: 300,
      controls: controlRules(
        parseStudy(
          {
            title: "t",
            arms: [
              { name: "best-of-n", strategy: { name: "best-of-n" } },
              { name: "random", strategy: { name: "random" } },
              { name: "oracle", strategy: { name: "oracle", options: { judge: "judge" } } },
            ],
          },
          "x.yaml",
        ),
      ),
    });
    // The analytic reward adds the draws up: images whose tokens differ, differ in reward.
    const apart = table.previews.filter(({ size }) => size === "pairs");
    expect(apart.map(({ scale }) => scale)).toEqual([0, 1, 2, 3, 4, 5]);
    const all = apart.reduce((sum, { withReward }) => sum + withReward.estimate, 0);
    expect(all / apart.length).toBeGreaterThan(0.05);
    // The last scale has no second end.
    expect(table.decided.map(({ scale }) => scale)).toEqual([0, 1, 2, 3, 4]);
    expect(table.spentAfter).toEqual(after);
    expect(table.controls.map(({ arm, units, passAt }) => [arm, units, passAt])).toEqual([
      ["random", 2, 1],
      ["random", 4, 1],
      ["oracle", 2, 2],
      ["oracle", 4, 4],
    ]);
    for (const { difference } of table.controls) {
      expect(difference.low).toBeLessThanOrEqual(0);
      expect(difference.high).toBeGreaterThanOrEqual(0);
    }
    const blind = new Map([["oracle", () => 1]]);
    const fooled = tabulate(recordOf(whole.trees, whole.cells, "sum", after), {
      reference: "best-of-n",
      draws: 300,
      controls: blind,
    });
    expect(fooled.controls.at(-1)!.difference.low).toBeGreaterThan(0);
    const row = (arm: string, units: number) =>
      table.rows.find((each) => each.arm === arm && each.units === units)!;
    expect(row("single", 2).againstSingle).toMatchObject({
      estimate: 0,
      better: 0,
      worse: 0,
      p: 1,
      pHolm: 1,
    });
    expect(row("single", 2).headroom).toBe(0);
    expect(row("best-of-n", 4).againstReference).toBe(null);
    const { p, pHolm, low, together, better, worse } = row("oracle", 4).againstReference!;
    expect(better).toBeGreaterThan(worse);
    expect(pHolm).toBeGreaterThan(p);
    expect(together.low).toBeLessThan(low);
    expect(row("oracle", 4).headroom!).toBeGreaterThan(row("random", 4).headroom!);
    expect(row("tts-var", 4).mode).toBe("live");
    expect(row("best-of-n", 4).mode).toBe("offline");
    expect(table.rows.every(({ spent, units }) => spent <= units * (1 + 1e-9))).toBe(true);
    expect(describeTable(table)).toContain("| oracle | 4 |");
    expect(plotStudy(table)).toMatch(/^<svg/);

    // Answers on disk give the same table, and are refused when a line is cut.
    const { plan, parts } = await setUp();
    const prices = lookPrices(plan, parts);
    const record = recordOf(whole.trees, whole.cells, "sum", after, prices);
    const [look] = record.previews.filter(({ view }) => view === "reward");
    expect(look!.price).toBeGreaterThan(0);
    expect(look!.price).toBeLessThan(1);
    const facts = { command: "c", versions: {} };
    const lines = formatRecord(record, parseStudy(oneArm, "x.yaml"), facts).trim().split("\n");
    const again = parseRecord(
      lines.map((line) => JSON.parse(line)),
      "answers.jsonl",
    );
    const options = { reference: "best-of-n", draws: 300 };
    expect(tabulate(again, options)).toEqual(tabulate(record, options));
    const short = lines.map((line) => JSON.parse(line));
    short[2].correct = "01";
    expect(() => parseRecord(short, "answers.jsonl")).toThrow(/answers\.jsonl is cut short at single/);
    expect(() => parseRecord([{}], "answers.jsonl")).toThrow(/holds no answers of a study/);
  });
});

const oneArm = { title: "t", reference: "a", arms: [{ name: "a", strategy: { name: "single" } }] };

describe("passShare", () => {
  it("is the hypergeometric chance of a right one among n", () => {
    expect(passShare([true, false, false, false], 1)).toBeCloseTo(0.25, 12);
    expect(passShare([true, false, false, false], 2)).toBeCloseTo(0.5, 12);
    expect(passShare([true, true, false], 2)).toBe(1);
  });
});

describe("controlRules", () => {
  it("leaves out other judges, other proposals and other numbers of images", () => {
    const oracle = (name: string, options: object, rest: object = {}) => ({
      name,
      strategy: { name: "oracle", options },
      ...rest,
    });
    const arms = [
      oracle("right", { judge: "judge" }),
      oracle("diluted", { judge: "judge-0.4" }),
      oracle("warm", { judge: "judge" }, { sampling: { temperature: 2 } }),
      oracle("three", { judge: "judge", n: 3 }),
    ];
    const rules = controlRules(parseStudy({ title: "t", reference: "right", arms }, "x.yaml"));
    expect([...rules.keys()]).toEqual(["right"]);
    expect(rules.get("right")!(8.5)).toBe(8);
  });
});

describe("parseStudy", () => {
  it("leaves an arm the study's own proposal and features unless it names others", () => {
    const [parsed] = parseStudy(oneArm, "x.yaml").arms;
    expect([parsed!.sampling, parsed!.features, parsed!.live]).toEqual([undefined, undefined, false]);
  });

  it("gives several models the same settings, but names them once", () => {
    const of = (model: unknown) => parseStudy({ ...oneArm, models: ["a", "b"], search: { model } }, "x.yaml");
    expect(of({ options: { guidance: 1 } }).search["model"]).toEqual({ options: { guidance: 1 } });
    for (const model of ["a", { name: "a" }]) expect(() => of(model)).toThrow(/name the models once/);
  });

  it("refuses unknown references and twice the same arm", () => {
    const arm = { name: "a", strategy: { name: "single" } };
    expect(() => parseStudy({ title: "t", arms: [arm] }, "x.yaml")).toThrow(/reference "best-of-n"/);
    expect(() => parseStudy({ title: "t", reference: "a", arms: [arm, arm] }, "x.yaml")).toThrow(/two arms/);
  });
});

import { describe, expect, it } from "vitest";
import { autoCandidates, autoChoice } from "../../search/auto.ts";
import { FULL_VIEW } from "../../src/core/generator.ts";
import { type RecommendInput, recommend } from "../../src/study/recommend.ts";
import { recordTree, wholeKey } from "../../src/study/record-tree.ts";
import { calibration, planInputOf, searchInput } from "./support/search-run.ts";

const spread = { strategy: "spread", options: {}, gain: 0.1, error: 0.02, spent: 4 };
const measured = { ...calibration, recommended: [{ ...spread, units: 4 }] };

describe("auto", () => {
  it("takes the recommendation of the largest budget that is not above its own, and best-of-n below", () => {
    const names = [2, 4, 7.9, 64].map((units) => autoChoice(measured, units).name);
    expect(names).toEqual(["best-of-n", "spread", "spread", "spread"]);
    expect(autoChoice(null, 8).name).toBe("best-of-n");
    expect(autoChoice(calibration, 8).name).toBe("best-of-n");
  });

  it("refuses what it does not know", () => {
    const recommended = [{ ...spread, units: 1, options: { ratio: 1.5 } }];
    expect(() => autoChoice({ ...calibration, recommended }, 8)).toThrow(/spread with .*1\.5.*calibrate/);
  });
});

describe("recommend", () => {
  it("takes what is ahead of the first candidate, and leaves out what trees cannot decide", async () => {
    const trees: RecommendInput["trees"][number][] = [];
    for (let seed = 0; seed < 12; seed++) {
      const input = await searchInput("single", 4, { task: { prompt: "a red cup", seed } });
      const options = {
        width: 8,
        rewards: ["sum"],
        previews: [FULL_VIEW],
        featurePreview: false,
        tokens: true,
        copies: 0,
      };
      trees.push({ ...(await recordTree(input, options as never)), prompt: "a red cup", seed });
    }
    const { strategy: _, units: __, ...plan } = planInputOf(await searchInput("single", 4));
    const candidateOf = (name: string) => autoCandidates.find((each) => each.name === name)!;
    const compare = (names: readonly string[], budgets: readonly number[], sign: number) =>
      recommend({
        trees,
        plan,
        candidates: names.map(candidateOf),
        budgets,
        value: (tree, root) => sign * tree.scores[wholeKey("sum", plan.generator.stages.length - 1)]![root]!,
      });
    const [two, four] = compare(["best-of-n", "halving"], [2, 4], -1);
    // By the opposite of the reward best-of-n is the worst there is, at every budget.
    expect([two!.units, four!.units]).toEqual([2, 4]);
    expect(compare(["best-of-n"], [4], 1)).toEqual([
      { units: 4, strategy: "best-of-n", options: {}, gain: 0, error: 0, spent: expect.closeTo(4, 0) },
    ]);
    expect(compare(["best-of-n", "calibrated-stop"], [4], 1)[0]!.strategy).toBe("best-of-n");
    expect(compare(["best-of-n"], [16], 1)).toEqual([]);
  });
});

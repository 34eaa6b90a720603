import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TtsVarError } from "../../src/core/errors.ts";
import type { Generator } from "../../src/core/generator.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { runSearch } from "../../src/engine/run-search.ts";
import { analyticGenerator, analyticReward, drawsOf } from "./support/analytic-generator.ts";
import {
  calibration,
  planInputOf,
  planOf,
  record,
  searchInput,
  strategyNames,
} from "./support/search-run.ts";

const budgets = [1, 1.5, 2, 4, 6.3, 8, 16];

describe.each(strategyNames)("%s", (name) => {
  it("spends exactly what its plan says, and never more than the budget", async () => {
    for (const units of budgets) {
      const input = await searchInput(name, units);
      const { spending, limit, plan } = await runSearch(input);
      expect(spending).toEqual(plan.spending);
      expect(spending.total).toBeLessThanOrEqual(limit * (1 + 1e-9));
    }
  });

  it("refuses less than one unit with the numbers", async () => {
    const input = await searchInput(name, 0.6);
    const error = await runSearch(input).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TtsVarError);
    expect(error).toMatchObject({ code: "BUDGET_INFEASIBLE", exitCode: 4 });
    expect((error as TtsVarError).details["needed"]).toBeGreaterThan(0.6);
  });

  it("writes the same trace twice, and decides it again identically", async () => {
    const input = await searchInput(name, 5);
    const [first, second] = [await record(input), await record(input)];
    expect(second.text).toBe(first.text);
    expect(replayTrace(planInputOf(input), first.events)).toEqual({
      agreed: first.events.length,
      difference: null,
    });
  });

  it("copes with equal, huge and lower-is-better rewards on any schedule", async () => {
    const rewards = [
      analyticReward("sum", () => 1),
      analyticReward("sum", ({ image }) => 1e300 * drawsOf(image)[0]!),
      analyticReward("sum", ({ image }) => drawsOf(image)[0]!, { direction: "lower", suggestedLambda: 1e6 }),
    ];
    for (const reward of rewards) {
      for (const sides of [
        [4, 5],
        [1, 2, 3, 4, 6, 8],
        [1, 2, 4, 6, 8, 12, 16],
      ]) {
        const generator = analyticGenerator(sides);
        const input = await searchInput(name, 6, {
          generator,
          rewards: { sum: reward },
        });
        const { candidates, best } = await runSearch(input);
        expect(candidates.length).toBeGreaterThan(0);
        expect(candidates).toContain(best);
      }
    }
  });

  it("names reward and candidate when a score is not finite", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const reward = analyticReward("sum", ({ id }) => (id === "c0" ? value : 0));
      const input = await searchInput(name, 3, { rewards: { sum: reward } });
      await expect(runSearch(input)).rejects.toMatchObject({
        code: "REWARD_VALUE",
        details: { reward: "sum", candidate: "c0" },
      });
    }
  });
});

describe("budgets", () => {
  it.each(["single", "best-of-n", "importance-sampling", "random", "oracle"])(
    "%s draws whole samples",
    async (name) => {
      for (const units of budgets) {
        const { candidates } = await runSearch(await searchInput(name, units));
        expect(candidates).toHaveLength(name === "single" ? 1 : Math.floor(units));
      }
    },
  );

  it.each(["tts-var", "halving", "quality-diversity", "cascade", "fk-steering", "beam", "restart"])(
    "%s uses most of what it is given",
    async (name) => {
      for (const units of [4, 8, 16]) {
        const plan = planOf(await searchInput(name, units));
        expect(plan.total / units).toBeGreaterThan(0.75);
      }
    },
  );

  it("fits any budget", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 1, max: 20, noNaN: true }),
        fc.constantFrom(...strategyNames),
        async (units, name) => {
          const plan = planOf(await searchInput(name, units));
          expect(plan.total).toBeLessThanOrEqual(units * (1 + 1e-9));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("refuses explicit widths that cost more than the budget", async () => {
    const input = await searchInput("tts-var", 2, { options: { widths: [8, 8, 8, 8, 8, 8] } });
    expect(() => planOf(input)).toThrow(/needs .* units .* --budget allows 2/);
  });
});

describe("tts-var", () => {
  const widths = (plan: ReturnType<typeof planOf>) => plan.rows.map(({ widthIn }) => widthIn);

  it("executes the paper's schedule on 13 scales: cuts follow the forward pass", async () => {
    const generator = analyticGenerator([1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64]);
    const input = await searchInput("tts-var", 40, {
      generator,
      options: { multiplier: 1 },
    });
    const plan = planOf(input);
    expect(widths(plan)).toEqual([8, 8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1]);
    expect(plan.rows.map(({ widthOut }) => widthOut)).toEqual([8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1, 1]);
    expect(plan.rows.map(({ features }) => features)).toEqual([0, 0, 8, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    expect(plan.rows.map(({ scores }) => scores)).toEqual([0, 0, 0, 0, 0, 0, 4, 0, 0, 2, 0, 0, 1]);
  });

  it("takes the widest multiple of the shape that the budget pays for", async () => {
    const fitted = planOf(await searchInput("tts-var", 8));
    const started = fitted.rows[0]!.widthIn;
    const wider = await searchInput("tts-var", 8, { options: { multiplier: (started + 1) / 8 } });
    expect(fitted.total).toBeGreaterThan(7);
    expect(() => planOf(wider)).toThrow(TtsVarError);
  });

  it("honours explicit widths, and says what is wrong with others", async () => {
    const good = await searchInput("tts-var", 20, {
      options: { widths: [12, 9, 9, 4, 4, 2], clusterScales: [1], resampleScales: [3, 4] },
    });
    await expect(async () => planOf(good)).rejects.toThrow(/changes from 4 to 2 after scale 5/);
    const inferred = await searchInput("tts-var", 20, { options: { widths: [12, 9, 9, 4, 2, 2] } });
    expect(widths(planOf(inferred))).toEqual([12, 12, 9, 9, 4, 2]);
    const short = await searchInput("tts-var", 20, { options: { widths: [8, 4] } });
    expect(() => planOf(short)).toThrow(/2 values but this model has 6 scales/);
  });

  it.each(["value", "diff", "sum", "max", "top-q"])(
    "replays with potential %s over all scales",
    async (potential) => {
      const options = {
        potential,
        history: "all",
        targetEss: 0.5,
        standardise: true,
        resampling: "systematic",
      };
      const input = await searchInput("tts-var", 6, { options });
      const { events, result } = await record(input);
      expect(result.spending).toEqual(result.plan.spending);
      expect(replayTrace(planInputOf(input), events).difference).toBeNull();
    },
  );
});

describe("finding the optimum", () => {
  const mean = async (name: string, units: number): Promise<number> => {
    let sum = 0;
    const seeds = 40;
    const input = await searchInput(name, units);
    for (let seed = 0; seed < seeds; seed++) {
      const { best } = await runSearch({ ...input, task: { ...input.task, seed } });
      sum += best.scores["sum"]!;
    }
    return sum / seeds;
  };

  it("beats a single sample with every strategy that looks, and equals it with the one that does not", async () => {
    const single = await mean("single", 1);
    // The reward's standard deviation is 1.4; 40 seeds leave a standard error of 0.22.
    for (const name of strategyNames.filter((name) => !["single", "random"].includes(name))) {
      expect(await mean(name, 6), name).toBeGreaterThan(single + 0.4);
    }
    expect(Math.abs((await mean("random", 6)) - single)).toBeLessThan(0.95);
  });

  it("gains from a calibration", async () => {
    const noisy = analyticReward("sum", ({ image, id }) => {
      const draws = drawsOf(image);
      const noise =
        draws.length < 6 ? Math.sin(Number(id.slice(1)) * 12.9898 + draws.length * 78.233) * 2 : 0;
      return draws.reduce((sum, draw) => sum + draw, 0) + noise;
    });
    const input = await searchInput("halving", 6, { rewards: { sum: noisy }, calibration });
    const { events } = await record(input);
    const reasons = events.flatMap((event) => (event.type === "select" ? [event.why["calibrated"]] : []));
    expect(reasons).toEqual([true, true, true]);
    expect(replayTrace(planInputOf(input), events).difference).toBeNull();
  });
});

describe("beam", () => {
  it("never loses the best image that a roll-out has shown", async () => {
    const { result, events } = await record(await searchInput("beam", 12));
    const seen = events.flatMap((event) => (event.type === "scores" ? event.raw : []));
    expect(result.best.scores["sum"]).toBe(Math.max(...seen));
  });
});

describe("restart", () => {
  it("stops at the first accepted round", async () => {
    const eager = await runSearch(await searchInput("restart", 8, { options: { threshold: -100 } }));
    const picky = await runSearch(await searchInput("restart", 8, { options: { threshold: 100 } }));
    expect(eager.spending.total).toBeLessThan(picky.spending.total / 2);
    expect(picky.spending.total).toBeLessThanOrEqual(picky.limit * (1 + 1e-9));
  });
});

describe("spread", () => {
  it("finishes samples whose coarse tokens differ, out of a pool that nobody looks at", async () => {
    const generator = analyticGenerator();
    for (let seed = 0; seed < 8; seed++) {
      const input = await searchInput("spread", 4, {
        generator,
        task: { prompt: "a red cup", seed },
        options: { n: 2, ratio: 8 },
      });
      const { candidates, plan } = await runSearch(input);
      expect(plan.rows.map(({ widthIn }) => widthIn)).toEqual([16, 16, 2, 2, 2, 2]);
      // One bit a scale: two that differ have both values.
      expect(candidates.map(({ tokens }) => tokens[1]!.data[0]).sort()).toEqual([0, 1]);
    }
    expect(generator.viewed).toBe(8 * 2);
    expect(generator.open).toBe(0);
  });

  it("compares the scale it is told to", async () => {
    const options = { n: 2, ratio: 8, scale: 3 };
    const { candidates } = await runSearch(await searchInput("spread", 8, { options }));
    expect(candidates.map(({ tokens }) => tokens[3]!.data[0]).sort()).toEqual([0, 1]);
  });

  it("gives the images that best-of-n would give of the same candidates", async () => {
    const spread = await runSearch(await searchInput("spread", 4, { options: { n: 2, ratio: 2 } }));
    const all = await runSearch(await searchInput("best-of-n", 4));
    const hashes = new Map(all.candidates.map(({ id, pixelHash }) => [id, pixelHash]));
    for (const { id, pixelHash } of spread.candidates) expect(pixelHash).toBe(hashes.get(id));
  });

  it("rather draws two samples without a pool than one with it", async () => {
    const { candidates, plan } = await runSearch(await searchInput("spread", 2));
    expect(candidates.map(({ id }) => id)).toEqual(["c0", "c1"]);
    expect(plan.rows[1]!.widthIn).toBe(2);
  });
});

describe("tts-var by tokens", () => {
  it("clusters without a preview or a feature", async () => {
    const plan = planOf(
      await searchInput("tts-var", 8, { options: { clusterBy: "tokens" }, features: null }),
    );
    expect(plan.rows.map(({ decodes, features }) => [decodes, features]).slice(0, 3)).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(plan.rows[0]!.widthIn).toBeGreaterThan(planOf(await searchInput("tts-var", 8)).rows[0]!.widthIn);
  });
});

describe("calibrated-stop", () => {
  const { acceptance, ...uncertain } = calibration;
  const runAll = async (price: number, reward = analyticReward()) => {
    const input = await searchInput("calibrated-stop", 8, { options: { price }, rewards: { sum: reward } });
    const seeds = Array.from({ length: 30 }, (_, seed) => seed);
    return Promise.all(seeds.map((seed) => runSearch({ ...input, task: { ...input.task, seed } })));
  };
  const meanSpent = (results: Awaited<ReturnType<typeof runAll>>): number =>
    results.reduce((sum, { spending, limit }) => sum + (8 * spending.total) / limit, 0) / results.length;

  it("spends less the dearer a further unit is, and never more than its plan", async () => {
    const spent: number[] = [];
    for (const price of [0, 0.05, 0.15, 0.4, 1]) {
      const results = await runAll(price);
      for (const { spending, plan } of results) {
        expect(spending.total).toBeLessThanOrEqual(plan.spending.total);
      }
      spent.push(meanSpent(results));
    }
    expect(spent).toEqual([...spent].sort((a, b) => b - a));
    expect(spent[0]).toBeGreaterThan(7);
    expect(spent.at(-1)).toBeLessThan(1.05);
  });

  it("stops early on prompts that are surely right, and gives up those that never are", async () => {
    const easy = await runAll(
      0.2,
      analyticReward("sum", () => 9),
    );
    const hopeless = await runAll(
      0.2,
      analyticReward("sum", () => -9),
    );
    const doubtful = await runAll(
      0.2,
      analyticReward("sum", () => -acceptance!.intercept),
    );
    expect(meanSpent(easy)).toBeLessThan(1.05);
    expect(meanSpent(hopeless)).toBeLessThan(meanSpent(doubtful));
  });

  it("answers with the image that is most likely right, and frees all others", async () => {
    const generator = analyticGenerator();
    const input = await searchInput("calibrated-stop", 6, { generator });
    const { result, events } = await record(input);
    const seen = events.flatMap((event) => (event.type === "scores" ? event.raw : []));
    expect(result.best.scores["sum"]).toBe(Math.max(...seen));
    expect(generator.open).toBe(0);
  });

  it("draws its first image alone, then always the one of a pool that differs most", async () => {
    const input = await searchInput("calibrated-stop", 4, { options: { price: 0, pool: 12 } });
    const { events } = await record(input);
    const widths = events.flatMap((event) => (event.type === "start" ? [event.ids.length] : []));
    expect(widths).toEqual([1, 12]);
    const [first, pool] = events.flatMap((event) => (event.type === "tokens" ? [event] : []));
    const bit = (base64: readonly string[], row: number): number =>
      Buffer.from(base64[row]!, "base64")[0]! >> 7;
    const [second] = events.flatMap((event) => (event.type === "branch" ? event.picks : []));
    expect(bit(pool!.base64, second!)).not.toBe(bit(first!.base64, 0));
  });

  it("takes the pool that the budget pays for, and a new one when it is used up", async () => {
    const starts = async (units: number, pool: number): Promise<number[]> => {
      const input = await searchInput("calibrated-stop", units, { options: { price: 0, pool } });
      return (await record(input)).events.flatMap((event) =>
        event.type === "start" ? [event.ids.length] : [],
      );
    };
    const [alone, narrow] = await starts(2.1, 1000);
    expect(alone).toBe(1);
    expect(narrow).toBeGreaterThan(1);
    expect(narrow).toBeLessThan(20);
    expect(await starts(6, 2)).toEqual([1, 2, 2, 1]);
    expect(await starts(4, 1)).toEqual([1, 1, 1, 1]);
  });

  it("says what it needs when nothing is known of right images", async () => {
    const input = await searchInput("calibrated-stop", 6, { calibration: uncertain });
    expect(() => planOf(input)).toThrow(/needs a calibration .*tts-var calibrate .*--verifier/);
  });
});

describe("cascade and oracle", () => {
  it("ask for the rewards they are given, and refuse unknown ones", async () => {
    const judge = analyticReward("judge", ({ image }) => drawsOf(image)[1] ?? 0, { flops: 900 });
    const rewards = { sum: analyticReward(), judge };
    const input = await searchInput("cascade", 8, { rewards, options: { late: "judge" } });
    const { candidates, best } = await runSearch(input);
    expect(Math.max(...candidates.map(({ scores }) => scores["judge"]!))).toBe(best.scores["judge"]);
    const unknown = await searchInput("oracle", 8, { options: { judge: "jugde" } });
    expect(() => planOf(unknown)).toThrow(/reward "jugde"/);
    const nobody = await searchInput("oracle", 8, { options: {} });
    expect(() => planOf(nobody)).toThrow(/oracle needs to be told who judges: .* name a reward \(sum\)/);
  });
});

/** A generator that is only planned with. */
function rowless({ traits }: Generator): Generator {
  return { traits, start: () => Promise.reject(new Error("not run")), async [Symbol.asyncDispose]() {} };
}

describe("kept first stages", () => {
  it.each(["tts-var", "tts-var-released"])(
    "%s looks at nothing while all candidates are one",
    async (name) => {
      const free = analyticGenerator();
      const traits = { ...free.traits, cost: { ...free.traits.cost, shared: 4 } };
      const { rows } = planOf(await searchInput(name, 8, { generator: { ...rowless(free), traits } }));
      expect(rows.slice(0, 3).map(({ decodes }) => decodes)).toEqual([0, 0, 0]);
      expect(rows[3]!.decodes).toBeGreaterThan(0);
    },
  );
});

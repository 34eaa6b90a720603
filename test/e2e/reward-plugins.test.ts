import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openSearch, planConfig } from "../../src/assemble/open-search.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { loadFeatures } from "../../src/plugins/load-features.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { greyItems, rewardContext, rewardHost } from "../fixtures/reward-host.ts";

const folder = fileURLToPath(new URL("../fixtures/plugins", import.meta.url));

async function scoresOf(spec: string) {
  const host = rewardHost(folder);
  const { value } = await loadReward(spec, undefined, host);
  const reward = createScoring(value, { spec });
  try {
    const { scores } = await reward.score(greyItems([10, 20, 30]), rewardContext());
    return { scores: Array.from(scores), lines: host.lines };
  } finally {
    await reward[Symbol.asyncDispose]();
  }
}

test("a user's reward runs in its own thread: its prints go to the log", async () => {
  const { scores, lines } = await scoresOf("./prints.mjs");
  expect(scores).toEqual([10, 20, 30]);
  expect(lines).toContain("info ./prints.mjs: loading");
});

test.each([
  ["./syntax.mjs", /syntax\.mjs: syntax error: .*node --check/],
  ["./spins.mjs", /reward spins \(\.\/spins\.mjs\) did not answer within 0\.3 s \(candidates c0, c1, c2\)/],
  [
    "./exits.mjs",
    /exits\.mjs ended its thread \(exit code 7\); a plug-in must not call process\.exit \(candidates c0, c1, c2\)/,
  ],
  ["./throws.mjs", /no weights in this reward \(throws\.mjs:2:9\)\. Try it alone/],
  [
    "./rejects.mjs",
    /rejects\.mjs broke down: lost in the background; .*await what it starts \(candidates c0/,
  ],
  ["./closure.mjs", /its answer is not made of plain values/],
])("%s cannot hang or end this process and is named", async (spec, message) => {
  await expect(scoresOf(spec)).rejects.toMatchObject({
    code: spec === "./syntax.mjs" ? "PLUGIN_INVALID" : "REWARD_FAILED",
    message: expect.stringMatching(message),
  });
});

test.each([
  ["throws", /broken-features\.mjs failed: no weights in this encoder \(broken-features\.mjs:4:11\)/],
  ["spins", /broken-features\.mjs did not answer within 0\.3 s/],
  ["exits", /broken-features\.mjs ended its thread \(exit code 0\); a plug-in must not call process\.exit/],
  ["nan", /features broken-features returned the value NaN/],
])("features run in a thread too: one that %s is named and stops nothing", async (how, message) => {
  const host = rewardHost(folder);
  const { value } = await loadFeatures("./broken-features.mjs", { how }, host);
  const images = greyItems([10, 20]).map((item) => item.image);
  await expect(value.extract(images)).rejects.toMatchObject({
    code: "MODEL_RUNTIME",
    message: expect.stringMatching(message),
  });
  await value[Symbol.asyncDispose]();
  expect(host.lines).toContain("info ./broken-features.mjs: an encoder that prints");
});

test("a plug-in is loaded once for plan and run, and closed; also when only the plan is made", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tts-var-plugins-"));
  try {
    const log = join(dir, "log");
    const options = JSON.stringify({ log });
    const plan = (strategy: string) => {
      const sets = [
        "task.prompt=x",
        "model=toy",
        "budget=4",
        `strategy.name=${strategy}`,
        "features.reduction=pool",
      ];
      sets.push("reward.name=./counts.mjs", "features.model=./counts.mjs");
      sets.push(`reward.options=${options}`, `features.options=${options}`);
      return planConfig(resolveConfig({ sets }).config, rewardHost(folder));
    };
    const seen = async () => (await readFile(log, "utf8")).trim().split("\n");
    const open = await openSearch(await plan("best-of-n"));
    expect(await seen()).toEqual(["loaded", "loaded"]);
    await open[Symbol.asyncDispose]();
    expect(await seen()).toEqual(["loaded", "loaded", "closed", "closed"]);
    await (await plan("best-of-n"))[Symbol.asyncDispose]();
    expect((await seen()).slice(4)).toEqual(["loaded", "loaded", "closed", "closed"]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

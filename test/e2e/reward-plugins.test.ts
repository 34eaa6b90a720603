import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { greyItems, rewardContext, rewardHost } from "../fixtures/reward-host.ts";

const folder = fileURLToPath(new URL("../fixtures/plugins", import.meta.url));

async function scoresOf(spec: string) {
  const host = rewardHost(folder);
  const { value } = await loadReward(spec, undefined, host);
  const reward = createScoring(value);
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
  ["./spins.mjs", /reward spins did not answer within 0\.3 s \(candidates c0, c1, c2\)/],
  [
    "./exits.mjs",
    /exits\.mjs ended its thread \(exit code 7\); a reward must not call process\.exit \(candidates c0, c1, c2\)/,
  ],
])("%s cannot hang or end this process and is named", async (spec, message) => {
  await expect(scoresOf(spec)).rejects.toMatchObject({
    code: spec === "./syntax.mjs" ? "PLUGIN_INVALID" : "REWARD_FAILED",
    message: expect.stringMatching(message),
  });
});

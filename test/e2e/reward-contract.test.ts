import { rewardRegistry } from "../../src/assemble/builtins.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { syntheticBatch } from "../../src/scoring/synthetic-batch.ts";
import { describeReward } from "../../src/testing/reward-contract.ts";

const host = { baseDir: process.cwd(), allowDownload: false, log: () => undefined, registry: rewardRegistry };

describeReward("clip", async () => (await loadReward("clip", {}, host)).value);
describeReward("geneval", async () => (await loadReward("geneval", {}, host)).value, {
  items: syntheticBatch("a photo of a red cup"),
});

import { expect, test } from "vitest";
import { rewardRegistry } from "../../src/assemble/builtins.ts";
import { describeReward } from "../../src/plugins/load-reward.ts";
import { rewardHost } from "../fixtures/reward-host.ts";

test("every built-in reward is listed with its figures", () => {
  for (const row of rewardRegistry.list()) {
    expect(row.source.length, row.name).toBeGreaterThan(5);
    expect(row.license.length, row.name).toBeGreaterThan(2);
    expect(["higher", "lower"]).toContain(row.direction);
    if (row.range) expect(row.range[0]).toBeLessThan(row.range[1]);
    if (row.suggestedLambda !== null) expect(row.suggestedLambda).toBeGreaterThan(0);
    // Those that follow a thing by its colour run no network.
    const free = ["track", "drive"].includes(row.name);
    if (row.flops !== null) expect(row.flops > 0, row.name).toBe(!free);
  }
});

test.each(["clip", "geneval"])("the listed figures of %s are those that a search uses", async (name) => {
  const listed = rewardRegistry.list().find((row) => row.name === name)!;
  const { direction, range, suggestedLambda, flops, license, source } = await describeReward(
    name,
    undefined,
    rewardHost("."),
  );
  expect({ direction, range, suggestedLambda, flops, license, source }).toEqual({
    direction: listed.direction,
    range: listed.range,
    suggestedLambda: listed.suggestedLambda,
    flops: listed.flops,
    license: listed.license,
    source: listed.source,
  });
});

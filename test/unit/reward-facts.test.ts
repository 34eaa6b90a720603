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
    if (row.flops !== null) expect(row.flops, row.name).toBeGreaterThan(0);
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

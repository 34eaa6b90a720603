import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { RewardHost } from "../../src/core/plugin.ts";
import { featuresFromModule } from "../../src/plugins/features-from-module.ts";
import { specKind } from "../../src/plugins/load-module.ts";
import { rewardFromModule } from "../../src/plugins/reward-from-module.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { greyItems, rewardContext, rewardHost } from "../fixtures/reward-host.ts";

const folder = fileURLToPath(new URL("../fixtures/plugins", import.meta.url));
const refuse = () => Promise.reject(new Error("no other rewards here"));
const host: RewardHost = { ...rewardHost(folder), loadReward: refuse, describeReward: refuse };

test("specs are told apart by their form", () => {
  const kinds = ["clip", "./a.mjs", "a.ts", "/x/y.js", "npm:a/b", "http://localhost:1", "image-reward"].map(
    specKind,
  );
  expect(kinds).toEqual(["name", "file", "file", "file", "package", "http", "name"]);
});

describe("bad reward plug-ins are named, with the candidate and a remedy", () => {
  test.each([
    ["./missing.mjs", "PLUGIN_INVALID", /missing\.mjs: no such file \(looked for .*relative paths start at/],
    ["./number.mjs", "PLUGIN_INVALID", /number\.mjs: the default export is a number, not a function; write/],
    ["./named.mjs", "PLUGIN_INVALID", /no default export \(it exports score\)/],
    ["./shape.mjs", "PLUGIN_INVALID", /direction must be "higher" or "lower"; score must be a function/],
    ["./notes.txt", "PLUGIN_INVALID", /a module ends in \.mjs, \.js, \.cjs or \.ts, this one in "\.txt"/],
    ["npm:tts-var-absent", "PLUGIN_INVALID", /npm install tts-var-absent/],
    [
      "./throws.mjs",
      "REWARD_FAILED",
      /reward throws \(\.\/throws\.mjs\) failed on candidates c0, c1, c2: no weights in this reward.*reward check \.\/throws\.mjs/,
    ],
    [
      "./waits.mjs",
      "REWARD_FAILED",
      /reward waits \(\.\/waits\.mjs\) did not answer within 0\.3 s \(candidates c0, c1, c2\)/,
    ],
    [
      "./nan.mjs",
      "REWARD_VALUE",
      /reward nan \(\.\/nan\.mjs\) gave NaN for candidate c1 .*reward check \.\/nan\.mjs/,
    ],
    [
      "./short.mjs",
      "REWARD_FAILED",
      /returned 2 scores for 3 images \(c0, c1, c2\); return one number per item/,
    ],
    ["./factory.mjs", "REWARD_FAILED", /needs defineReward/],
    [
      "./bigint.mjs",
      "REWARD_FAILED",
      /details for candidate c1 that are no JSON: .*BigInt; give plain values/,
    ],
  ])("%s: %s", async (spec, code, message) => {
    const run = async () => {
      const { value } = await rewardFromModule(spec, undefined, host);
      return createScoring(value, { spec }).score(greyItems([10, 20, 30]), rewardContext());
    };
    await expect(run()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

test("good ones get a name, a version from their content, and defaults", async () => {
  for (const spec of ["./common.cjs", "./typed.ts"]) {
    const { value, provenance } = await rewardFromModule(spec, undefined, host);
    const { scores } = await createScoring(value).score(greyItems([1, 2]), rewardContext());
    expect(scores).toEqual([16, 16]);
    expect(value).toMatchObject({ direction: "higher", range: null, suggestedLambda: 10, flops: 0 });
    expect(value.version).toBe(provenance.sha256!.slice(0, 16));
  }
});

test("features plug-ins load by the same mechanism; wrong shapes are refused", async () => {
  const images = greyItems([10, 20]).map((item) => item.image);
  const { value } = await featuresFromModule("./grey-features.mjs", undefined, host);
  const { patches, summary } = await value.extract(images);
  expect(patches.dims).toEqual([2, 1, 2]);
  expect(Array.from(summary!.data)).toEqual([10, 8, 20, 8]);
  await expect(value.extract([...images, { ...images[0]!, width: 0 }])).rejects.toThrow(
    "different or zero length",
  );
});

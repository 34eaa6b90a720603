import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadPrompts, readPromptSet } from "../../src/eval/geneval/prompt-source.ts";
import { sharedScenes } from "../../src/eval/geneval/prompts.ts";
import { parseStudy } from "../../src/study/study-config.ts";

const folder = resolve("configs/studies");
/** What was tuned on: the largest set of tuning prompts, and those of the shipped calibration. */
const tuned = ["tuning:96", "calibration:96"];
/** Scenes that committed studies share with them; no other study may share any. docs/search.md says so. */
const known: Readonly<Record<string, readonly [number, number]>> = {
  "ablations.yaml": [3, 2],
  "goal.yaml": [14, 15],
  "previews.yaml": [3, 2],
  "reward-strength.yaml": [8, 11],
  "strategies.yaml": [8, 11],
};

describe("prompts of the shipped studies", () => {
  it.each(readdirSync(folder))(
    "%s shares no scene with what was tuned on, or as many as is told",
    async (file) => {
      const { prompts } = parseStudy(parse(readFileSync(join(folder, file), "utf8")), file);
      if (prompts.seed === "tuning") return;
      const own = await loadPrompts(String(prompts.count), prompts.seed, prompts.disjointFrom);
      const sets = await Promise.all(tuned.map(readPromptSet));
      expect(sets.map((set) => sharedScenes(own, set).length)).toEqual(known[file] ?? [0, 0]);
      if (known[file]) expect(prompts.disjointFrom).toBeUndefined();
      else expect(prompts.disjointFrom).toEqual(expect.arrayContaining(tuned));
    },
  );

  it("are made without the scenes of other sets, in either order of words", async () => {
    const others = ["tuning:96", "calibration:96", "report-strategies:240"];
    const own = await loadPrompts("200", "fresh", others);
    expect(own).toHaveLength(200);
    for (const set of others) expect(sharedScenes(own, await readPromptSet(set))).toEqual([]);
    await expect(loadPrompts("553", "fresh", others)).rejects.toThrow(
      /single_object has only \d+ unused scenes/,
    );
    const calibrated = JSON.parse(readFileSync(resolve("configs/calibration/embedded-clip.json"), "utf8"));
    expect(`${calibrated.measured.promptSeed}:${calibrated.measured.prompts}`).toBe("calibration:96");
  });
});

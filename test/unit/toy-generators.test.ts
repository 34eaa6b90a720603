import { describe, expect, it } from "vitest";
import { FULL_VIEW, type GeneratorDefinition, type Picture } from "../../src/core/generator.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { toyBest, toyScore } from "../../src/generators/next-scale/toy/toy-model.ts";
import { canvasBest, canvasDefinition, canvasScore } from "../../src/generators/toys/canvas.ts";
import { clipBest, clipDefinition, clipScore } from "../../src/generators/toys/clip.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

describeSampler("toy: bits by scales", () => toyDefinition.open(), { otherSettings: { temperature: 0.2 } });
describeSampler("toy: bits by scales, looking ahead", () =>
  toyDefinition.open({ settings: { lookAhead: 2 } }),
);
describeSampler("toy-canvas: an index canvas revealed in groups", () => canvasDefinition.open());
describeSampler("toy-clip: vectors by frames", () => clipDefinition.open());

const prompt = "four colours";

async function pictures(definition: GeneratorDefinition, settings: object = {}): Promise<Picture[]> {
  const generator = await definition.open({ settings });
  const ids = Array.from({ length: 32 }, (_, index) => `c${index}`);
  const session = await generator.start({ prompt, seed: 0 }, ids);
  while (session.stage < generator.traits.stages.length) await session.step();
  return session.view([...ids.keys()], FULL_VIEW);
}

describe("toys have a known best picture, which searches can look for", () => {
  it.each([
    ["toy", toyDefinition, ({ frames }: Picture) => toyScore(frames[0], prompt)],
    ["toy-canvas", canvasDefinition, ({ frames }: Picture) => canvasScore(frames[0], prompt)],
    ["toy-clip", clipDefinition, ({ frames }: Picture) => clipScore(frames, prompt)],
  ] as const)("%s spreads below it", async (_, definition, score) => {
    const scores = (await pictures(definition)).map(score);
    expect(Math.max(...scores)).toBeLessThan(1);
    expect(Math.max(...scores) - Math.min(...scores)).toBeGreaterThan(0.02);
  });

  it("toy reaches it when it is cold", async () => {
    const scores = (await pictures(toyDefinition, { temperature: 0.01 })).map(({ frames }) =>
      toyScore(frames[0], prompt),
    );
    expect(scores).toEqual(new Array(32).fill(1));
  });

  it("gives the best pictures a score of 1, and previews of them too", () => {
    expect(toyScore(toyBest(prompt, { h: 4, w: 4 }), prompt)).toBe(1);
    expect(canvasScore(canvasBest(prompt), prompt)).toBe(1);
    expect(clipScore(clipBest(prompt), prompt)).toBe(1);
  });
});

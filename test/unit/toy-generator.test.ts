import { describe, expect, it } from "vitest";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { toyBest, toyScore } from "../../src/generators/next-scale/toy/toy-model.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

describeSampler("toy", () => toyDefinition.open());

describe("toy generator", () => {
  const prompt = "four colours";

  async function scores(temperature: number): Promise<number[]> {
    const generator = await toyDefinition.open();
    const settings = { ...generator.defaults, temperature: generator.scales.map(() => temperature) };
    const ids = Array.from({ length: 32 }, (_, index) => `c${index}`);
    const session = await generator.start({ prompt, seed: 0, ids, settings });
    while (session.stage < generator.scales.length) await session.step();
    const images = await session.decode(ids.map((_, row) => row));
    return images.map((image) => toyScore(image, prompt));
  }

  it("reaches the known best image when it is cold", async () => {
    expect(await scores(0.01)).toEqual(new Array(32).fill(1));
  });

  it("spreads below it when it is warm, so that there is something to search", async () => {
    const warm = await scores(1);
    expect(Math.max(...warm)).toBeLessThan(1);
    expect(Math.max(...warm) - Math.min(...warm)).toBeGreaterThan(0.05);
  });

  it("gives the best image a preview score of 1 at reduced size, too", () => {
    expect(toyScore(toyBest(prompt, { h: 4, w: 4 }), prompt)).toBe(1);
  });
});

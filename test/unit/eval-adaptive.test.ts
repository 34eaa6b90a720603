import { describe, expect, it } from "vitest";
import { createRng } from "../../src/core/rng.ts";
import { type ImageRounds, nextWave } from "../../src/eval/adaptive.ts";

/** Prompts whose rounds succeed (score 1) with their own probability; two images each. */
function play(
  totalUnits: number,
  rates: readonly number[],
  seed = "a",
): { rounds: number[]; best: number[] } {
  const images = rates.flatMap((rate, promptIndex) =>
    [0, 1].map((sample) => ({ promptIndex, sample, rate, scores: [] as number[] })),
  );
  const settings = { totalUnits, roundUnits: 1, stopAt: 1 };
  for (;;) {
    const wave = nextWave(images, settings);
    if (wave.length === 0) break;
    for (const index of wave) {
      const { promptIndex, sample, rate, scores } = images[index]!;
      const draw = createRng(seed, `${promptIndex}`).stream("stats", `${sample}`, 0).uniform(scores.length);
      scores.push(draw < rate ? 1 : draw * 0.3);
    }
  }
  return {
    rounds: images.map(({ scores }) => scores.length),
    best: images.map(({ scores }) => Math.max(...scores)),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe("adaptive allocation", () => {
  // Twelve easy prompts, six hard ones, six hopeless ones.
  const rates = [
    ...new Array<number>(12).fill(1),
    ...new Array<number>(6).fill(0.35),
    ...new Array<number>(6).fill(0),
  ];
  const images = rates.length * 2;

  it("begins with one round each and never spends more than the total", () => {
    const fresh: ImageRounds[] = [0, 1, 2].map((promptIndex) => ({ promptIndex, scores: [] }));
    expect(nextWave(fresh, { totalUnits: 9, roundUnits: 2, stopAt: null })).toEqual([0, 1, 2]);
    expect(() => nextWave(fresh, { totalUnits: 5, roundUnits: 2, stopAt: null })).toThrow(
      /do not give one round/,
    );
    for (const total of [images, images + 5, images * 3]) {
      expect(sum(play(total, rates).rounds)).toBeLessThanOrEqual(total);
    }
  });

  it("stops where the goal is reached and spends on what can still improve", () => {
    const { rounds, best } = play(images * 3, rates);
    expect(rounds.slice(0, 24)).toEqual(new Array(24).fill(1));
    const hard = sum(rounds.slice(24, 36)) / 12;
    const hopeless = sum(rounds.slice(36)) / 12;
    expect(hard).toBeGreaterThan(1.5);
    expect(hopeless).toBeGreaterThan(1);
    // The same total given out evenly: three rounds each.
    const even = rates.flatMap((rate, prompt) =>
      [0, 1].map((sample) => {
        const stream = createRng("a", `${prompt}`).stream("stats", `${sample}`, 0);
        return [0, 1, 2].some((round) => stream.uniform(round) < rate);
      }),
    );
    expect(best.filter((score) => score === 1).length).toBeGreaterThan(even.filter(Boolean).length);
  });

  it("is a function of the scores, whatever the order in which a wave was done", () => {
    expect(play(images * 2, rates)).toEqual(play(images * 2, rates));
    const scored: ImageRounds[] = [
      { promptIndex: 0, scores: [0.2, 0.4] },
      { promptIndex: 0, scores: [0.3] },
      { promptIndex: 1, scores: [0.9] },
      { promptIndex: 1, scores: [0.1] },
    ];
    const wave = nextWave(scored, { totalUnits: 6, roundUnits: 1, stopAt: null });
    expect(wave, "the image furthest below what its prompt can give").toEqual([3]);
    expect(nextWave(scored, { totalUnits: 5, roundUnits: 1, stopAt: null })).toEqual([]);
  });
});

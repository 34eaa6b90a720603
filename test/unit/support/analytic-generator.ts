import { createHash } from "node:crypto";
import type { FeatureExtractor } from "../../../src/core/features.ts";
import type { Generator, LatentSize, Pick, SampleRequest, Session } from "../../../src/core/generator.ts";
import type { RgbImage } from "../../../src/core/image.ts";
import type { Reward, RewardItem } from "../../../src/core/reward.ts";
import { createRng } from "../../../src/core/rng.ts";

/**
 * A generator with a closed form: every stage adds one standard normal draw per candidate, and an image is the list of
 * these draws, written into pixels at 24 bits each. Rewards are weighted sums of them, so what a search should find is
 * known exactly.
 */
export function analyticGenerator(
  sides: readonly number[] = [1, 2, 3, 4, 6, 8],
  textFlops = 50,
): AnalyticGenerator {
  return new AnalyticGenerator(sides, textFlops);
}

export class AnalyticGenerator implements Generator {
  readonly name = "analytic";
  readonly version = "1";
  readonly scales;
  readonly latent: LatentSize;
  readonly pixelsPerLatent = 1;
  readonly defaults;
  readonly cost;
  /** Sessions begun and not yet released. */
  open = 0;
  /** Rows decoded so far. */
  decoded = 0;

  constructor(sides: readonly number[], textFlops: number) {
    this.scales = sides.map((side, index) => ({ index, h: side, w: side }));
    const last = sides.at(-1)!;
    this.latent = { h: last, w: last };
    this.defaults = {
      guidance: sides.map(() => 3),
      temperature: sides.map(() => 1),
      topP: 1,
      guidanceUntil: sides.length,
    };
    this.cost = {
      text: textFlops,
      stage: (index: number, guided: boolean) => sides[index]! ** 2 * 100 * (guided ? 2 : 1),
      sharedStages: 1,
      decode: (latent: LatentSize) => latent.h * latent.w * 40,
    };
  }

  async start(request: SampleRequest): Promise<Session> {
    return new AnalyticSession(
      this,
      request,
      request.ids,
      request.ids.map(() => []),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class AnalyticSession implements Session {
  ids: readonly string[];
  stage = 0;
  #draws: number[][];
  readonly #generator: AnalyticGenerator;
  readonly #request: SampleRequest;

  constructor(
    generator: AnalyticGenerator,
    request: SampleRequest,
    ids: readonly string[],
    draws: number[][],
  ) {
    this.#generator = generator;
    this.#request = request;
    this.ids = ids;
    this.#draws = draws;
    this.stage = draws[0]?.length ?? 0;
    generator.open += 1;
  }

  async step() {
    const rng = createRng(this.#request.seed, this.#request.prompt);
    const fresh = this.ids.map((id) => rng.stream("token", id, this.stage).normal(0));
    this.#draws = this.#draws.map((draws, row) => [...draws, fresh[row]!]);
    this.stage += 1;
    return {
      logProb: Float64Array.from(fresh, (value) => -0.5 * value * value),
      entropy: Float64Array.from(fresh, () => 1.4189385332046727),
      guidanceGap: new Float64Array(fresh.length),
      tokenHash: fresh.map((value) => createHash("sha256").update(String(value)).digest("hex").slice(0, 16)),
    };
  }

  async select(picks: readonly Pick[]): Promise<void> {
    this.#draws = picks.map(({ parent }) => this.#draws[parent]!);
    this.ids = picks.map(({ id }) => id);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    const draws = picks.map(({ parent }) => this.#draws[parent]!);
    return new AnalyticSession(
      this.#generator,
      this.#request,
      picks.map(({ id }) => id),
      draws,
    );
  }

  async decode(rows: readonly number[], latent: LatentSize = this.#generator.latent): Promise<RgbImage[]> {
    this.#generator.decoded += rows.length;
    return rows.map((row) => encode(this.#draws[row]!, latent));
  }

  async bits(row: number): Promise<Uint8Array[]> {
    return this.#draws[row]!.map((draw) => Uint8Array.of(draw > 0 ? 1 : 0));
  }

  release(): void {
    this.#generator.open -= 1;
  }
}

function encode(draws: readonly number[], { h, w }: LatentSize): RgbImage {
  const data = new Uint8Array(h * w * 3);
  draws.slice(0, h * w).forEach((draw, index) => {
    const value = Math.round((Math.min(7.9, Math.max(-7.9, draw)) + 8) * 2 ** 20);
    data.set([value >>> 16, (value >>> 8) & 255, value & 255], index * 3);
  });
  return { width: w, height: h, data };
}

/** The draws written into an image; stages not done yet are missing. */
export function drawsOf({ data }: RgbImage): number[] {
  const draws: number[] = [];
  for (let index = 0; index < data.length; index += 3) {
    const value = (data[index]! << 16) | (data[index + 1]! << 8) | data[index + 2]!;
    if (value !== 0) draws.push(value / 2 ** 20 - 8);
  }
  return draws;
}

/** A reward with a given rule; by default the sum of draws, each stage half as important as the one before. */
export function analyticReward(
  name = "sum",
  rule: (item: RewardItem) => number = ({ image }) =>
    drawsOf(image).reduce((sum, draw, k) => sum + draw * 0.7 ** k, 0),
  traits: Partial<Reward> = {},
): Reward {
  return {
    name,
    version: "1",
    direction: "higher",
    range: null,
    suggestedLambda: 2,
    flops: 300,
    license: "MIT",
    source: "analytic",
    score: (batch) => ({ scores: batch.map(rule) }),
    [Symbol.asyncDispose]: async () => {},
    ...traits,
  };
}

/** The draws themselves as features, padded with zeros. */
export const analyticFeatures = {
  name: "draws",
  version: "1",
  flops: 200,
  vectors: async (images: readonly RgbImage[]) => {
    const dim = 16;
    const data = new Float32Array(images.length * dim);
    images.forEach((image, row) => {
      data.set(drawsOf(image).slice(0, dim), row * dim);
    });
    return { dims: [images.length, dim], data };
  },
} satisfies { vectors: unknown; name: string; version: string; flops: FeatureExtractor["flops"] };

import type { FeatureExtractor } from "../../../src/core/features.ts";
import {
  type Generator,
  type GeneratorTraits,
  type Session,
  SPECIFICATION_VERSION,
  sidesOf,
} from "../../../src/core/generator.ts";
import type { CandidateId } from "../../../src/core/ids.ts";
import type { RgbImage } from "../../../src/core/image.ts";
import type { Reward, RewardItem } from "../../../src/core/reward.ts";
import type { Task } from "../../../src/core/task.ts";
import { type RowModel, rowGenerator } from "../../../src/generators/rows.ts";

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
  readonly traits: GeneratorTraits;
  /** Sessions begun and not yet released. */
  open = 0;
  /** Rows looked at so far. */
  viewed = 0;

  constructor(sides: readonly number[], textFlops: number) {
    const last = sides.at(-1)!;
    this.traits = {
      specificationVersion: SPECIFICATION_VERSION,
      name: "analytic",
      version: "1",
      shape: { id: "1:1", width: last, height: last, frames: 1, grain: 1 },
      stages: sides.map((side, index) => ({ index, label: `${side}x${side}`, tokens: 1, final: 1 })),
      tokens: { kind: "bits", width: 1 },
      looks: ["now"],
      can: ["rewind", "log-prob"],
      cost: {
        prompt: textFlops,
        stages: sides.map((side) => side ** 2 * 200),
        shared: 1,
        views: { now: last ** 2 * 40 },
      },
      memory: null,
      settings: {},
    };
  }

  async start(task: Task, ids: readonly CandidateId[]): Promise<Session> {
    return this.#watched(await rowGenerator(this.traits, this.#model).start(task, ids));
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  readonly #model: RowModel<readonly number[]> = {
    begin: () => [],
    draw(draws, _stage, stream) {
      const fresh = stream.normal(0);
      return {
        row: [...draws, fresh],
        tokens: { count: 1, data: Uint8Array.of(fresh > 0 ? 1 : 0) },
        values: { logProb: -0.5 * fresh * fresh, entropy: 1.4189385332046727, guidanceGap: 0 },
      };
    },
    look: (draws, _stages, { size }) => ({
      frames: [encode(draws, sidesOf(this.traits.shape, size))],
      coverage: 1,
    }),
  };

  /** Counts sessions and looks. */
  #watched(session: Session): Session {
    this.open += 1;
    const view = session.view.bind(session);
    session.view = async (rows, seen) => {
      this.viewed += rows.length;
      return view(rows, seen);
    };
    const branch = session.branch.bind(session);
    session.branch = async (picks) => this.#watched(await branch(picks));
    const release = session.release.bind(session);
    session.release = () => {
      this.open -= 1;
      release();
    };
    return session;
  }
}

function encode(draws: readonly number[], { width, height }: { width: number; height: number }): RgbImage {
  const data = new Uint8Array(height * width * 3);
  draws.slice(0, height * width).forEach((draw, index) => {
    const value = Math.round((Math.min(7.9, Math.max(-7.9, draw)) + 8) * 2 ** 20);
    data.set([value >>> 16, (value >>> 8) & 255, value & 255], index * 3);
  });
  return { width, height, data };
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
    atoms: true,
    score: (batch) => ({ scores: batch.map(rule), details: batch.map(() => ({ atoms: [neverEnough] })) }),
    [Symbol.asyncDispose]: async () => {},
    ...traits,
  };
}

/** What no picture has, so that strategies which repair what fails go on for as long as they can. */
const neverEnough = { question: "Is it enough?", expected: "yes", skill: "object", parent: [], p: 0 };

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

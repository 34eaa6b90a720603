import type { Generator } from "../../../core/generator.ts";
import { chooseShape } from "../../choose-shape.ts";
import type { GeneratorDefinition, GeneratorTraits } from "../../definition.ts";
import { startSession } from "../session.ts";
import { TOY_SCALES, TOY_STRIDE, ToyModel, toyCode } from "./toy-model.ts";

/** FLOPs are made up, in the proportions of a small network: cost per token and per decoded latent cell. */
const TOKEN_FLOPS = 1000;
const CELL_FLOPS = 200;

const count = TOY_SCALES.length;

const description: GeneratorTraits = {
  name: "toy",
  version: "1",
  scales: TOY_SCALES.map(([h, w], index) => ({ index, h, w })),
  latent: toyCode().latent,
  pixelsPerLatent: TOY_STRIDE,
  schedule: "1:1",
  bitsPerToken: toyCode().tokenChannels,
  cost: {
    text: 0,
    stage(index, guided) {
      const [h, w] = TOY_SCALES[index] ?? [0, 0];
      return TOKEN_FLOPS * h * w * (guided ? 2 : 1);
    },
    sharedStages: 1,
    decode: ({ h, w }) => CELL_FLOPS * h * w,
  },
  defaults: {
    guidance: new Array<number>(count).fill(1),
    temperature: new Array<number>(count).fill(1),
    topP: 1,
    guidanceUntil: count,
  },
};

/** A generator without weights for tutorials and contract tests (`--model toy`). */
export const toyDefinition: GeneratorDefinition = {
  async describe(shape = {}) {
    const { h, w } = description.latent;
    chooseShape([{ id: "1:1", width: w * TOY_STRIDE, height: h * TOY_STRIDE }], shape);
    return description;
  },
  async open(): Promise<Generator> {
    const model = new ToyModel();
    const code = toyCode();
    return {
      ...description,
      start: (request) => startSession(model, code, request),
      async [Symbol.asyncDispose]() {},
    };
  },
};

import {
  type Generator,
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../../core/generator.ts";
import { chooseShape } from "../../choose-shape.ts";
import { parseSettings } from "../../parse-settings.ts";
import { bitGenerator } from "../bit-generator.ts";
import { lookAheadShape, lookingAhead } from "../look-ahead.ts";
import { resolveSettings, samplingSchema } from "../settings.ts";
import { TOY_SCALES, TOY_STRIDE, ToyModel, toyCode } from "./toy-model.ts";

/** FLOPs are made up, in the proportions of a small network: cost per token and per decoded latent cell. */
const TOKEN_FLOPS = 1000;
const CELL_FLOPS = 200;

const code = toyCode();
const own = { guidance: [1], temperature: [1], topP: 1 };
const { h, w } = code.latent;
const shape = { id: "1:1", width: w * TOY_STRIDE, height: h * TOY_STRIDE, frames: 1, grain: TOY_STRIDE };

/** Traits and settings as configured. @throws TtsVarError CONFIG_INVALID */
function configure(given: unknown) {
  const { lookAhead, ...sampling } = parseSettings(samplingSchema.extend(lookAheadShape), given);
  const settings = {
    ...resolveSettings(own, sampling, TOY_SCALES.length),
    ...(lookAhead ? { lookAhead } : {}),
  };
  const traits: GeneratorTraits = {
    specificationVersion: SPECIFICATION_VERSION,
    name: "toy",
    version: "1",
    shape,
    stages: TOY_SCALES.map(([rows, columns], index) => ({
      index,
      label: `${rows}x${columns}`,
      tokens: rows * columns,
      final: 1,
    })),
    tokens: code.kind,
    looks: ["now"],
    can: ["keep", "rewind", "log-prob"],
    cost: {
      prompt: 0,
      stages: TOY_SCALES.map(
        ([rows, columns], stage) => TOKEN_FLOPS * rows * columns * (stage < settings.guidanceUntil ? 2 : 1),
      ),
      shared: 1,
      views: { now: CELL_FLOPS * h * w },
    },
    memory: null,
    settings: { ...settings },
  };
  return { traits: lookingAhead(traits, lookAhead), settings };
}

function openToy(given: unknown): Promise<Generator> {
  const network = new ToyModel();
  const under = async (asked: unknown) => ({ ...configure(asked), network });
  return bitGenerator({ code, under, close: async () => undefined }, given);
}

/** A generator without weights for tutorials and contract tests (`--model toy`). */
export const toyDefinition: GeneratorDefinition = {
  async describe({ shape: wish = {}, settings } = {}) {
    chooseShape([shape], wish);
    return configure(settings).traits;
  },
  async open({ shape: wish = {}, settings } = {}) {
    chooseShape([shape], wish);
    return openToy(settings);
  },
};

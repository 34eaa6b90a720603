import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../core/generator.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { batchGenerator } from "../batches.ts";
import { canvasSchema, canvasShape, canvasViews, sideOf } from "../canvas/manifest.ts";
import { type CanvasFamily, type CanvasModel, type CanvasParts, canvasDefinition } from "../canvas/open.ts";
import { headEntry, headOf, tokenCosts } from "./head-entry.ts";
import { MaskedSetModel } from "./model.ts";
import { revealsOf } from "./reveals.ts";
import { maskedSampling, maskedSettings } from "./settings.ts";

const schema = canvasSchema.extend({
  family: z.literal("masked-set"),
  sampling: maskedSampling,
  head: headEntry,
  /** What else the network reads: a picture to edit by instruction. */
  reads: z.literal("source").optional(),
});

type Manifest = z.output<typeof schema>;

interface Loaded {
  readonly parts: CanvasParts<Manifest>;
  readonly head: OrtSession;
}

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = maskedSettings(manifest.sampling, given);
  const { flops, head, graphs, tokenChannels, reads } = manifest;
  const count = sideOf(manifest) ** 2;
  const groups = settings.guidance === 1 ? 1 : 2;
  const reveals = revealsOf(count, settings.stages);
  const { token, guess } = tokenCosts(head, settings);
  const costs = reveals.map((tokens) => groups * flops.pass + tokens * token);
  let done = 0;
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: canvasShape(manifest),
    stages: reveals.map((tokens, index) => {
      done += tokens;
      return { index, label: `set ${index + 1}`, tokens, final: done / count };
    }),
    // Values, and where the token lies.
    tokens: { kind: "vector", width: tokenChannels + 1 },
    looks: ["now", "ahead"],
    can: [
      "keep",
      "refine",
      "rewind",
      "negative-prompt",
      ...(head.kind === "categorical" ? (["log-prob"] as const) : []),
      ...(reads === "source" ? (["source"] as const) : []),
      ...(graphs.narrow === undefined ? [] : (["encode"] as const)),
    ],
    cost: {
      prompt: flops.prompt,
      stages: costs,
      // Which tokens come first and what they are is drawn after the first pass, but in its stage.
      shared: 0,
      // A guess at all that is masked comes from the vectors of the latest pass.
      ...canvasViews(manifest, count * guess),
      refine: costs,
    },
    memory: null,
    settings: { ...settings },
  };
}

const family: CanvasFamily<Manifest, Loaded> = {
  schema,
  traits: traitsOf,
  load: async (parts) => ({ parts, head: await parts.open(parts.manifest.head) }),
  create({ parts, head }, traits, given) {
    const { sampling, graphs } = parts.manifest;
    const settings = maskedSettings(sampling, given);
    const model = new MaskedSetModel(parts, headOf(parts.manifest, head, settings), settings);
    const generator = batchGenerator(traits, model);
    return graphs.narrow ? { ...generator, encode: (image) => model.encode(image) } : generator;
  },
};

/** A masked-set model in a folder (MAR). */
export function maskedSetDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}

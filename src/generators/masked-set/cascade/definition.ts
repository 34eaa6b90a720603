import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../../core/generator.ts";
import type { OrtSession } from "../../../inference/runtime/ort-session.ts";
import { batchGenerator } from "../../batches.ts";
import { canvasSchema, canvasShape, canvasViews, sideOf } from "../../canvas/manifest.ts";
import {
  type CanvasFamily,
  type CanvasModel,
  type CanvasParts,
  canvasDefinition,
} from "../../canvas/open.ts";
import { headEntry, headOf, tokenCosts } from "../head-entry.ts";
import { revealsOf } from "../reveals.ts";
import { CascadeModel } from "./model.ts";
import { cascadeSampling, cascadeSettings } from "./settings.ts";

const schema = canvasSchema.extend({
  family: z.literal("masked-cascade"),
  sampling: cascadeSampling,
  head: headEntry,
  coarse: z.looseObject({
    side: z.int().min(2),
    /** Deviation of the means that coarse tokens are, by value. */
    spread: z.array(z.number().positive()).min(1),
    /** One pass over the coarse canvas, one candidate and one guidance group. */
    flops: z.number().min(0),
  }),
});

type Manifest = z.output<typeof schema>;

interface Loaded {
  readonly parts: CanvasParts<Manifest>;
  readonly head: OrtSession;
}

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = cascadeSettings(manifest.sampling, given);
  const { flops, head, graphs, tokenChannels, coarse } = manifest;
  const groups = settings.guidance === 1 ? 1 : 2;
  const { token, guess } = tokenCosts(head, settings);
  const count = sideOf(manifest) ** 2;
  const levels = [
    { name: "coarse", tokens: coarse.side ** 2, stages: settings.coarseStages, pass: coarse.flops },
    { name: "set", tokens: count, stages: settings.stages, pass: flops.pass },
  ];
  const stages = levels.flatMap((level) => {
    let done = 0;
    return revealsOf(level.tokens, level.stages).map((tokens, at) => {
      done += tokens;
      // The fine level draws over a whole picture.
      const final = level.name === "coarse" ? done / level.tokens : 1;
      return { label: `${level.name} ${at + 1}`, tokens, final, cost: groups * level.pass + tokens * token };
    });
  });
  const costs = stages.map(({ cost }) => cost);
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: canvasShape(manifest),
    stages: stages.map(({ label, tokens, final }, index) => ({ index, label, tokens, final })),
    // Values, and where the token lies on its level's canvas.
    tokens: { kind: "vector", width: tokenChannels + 1 },
    looks: ["now", "ahead"],
    can: [
      "keep",
      "refine",
      "rewind",
      "negative-prompt",
      ...(graphs.narrow === undefined ? [] : (["encode"] as const)),
    ],
    cost: {
      prompt: flops.prompt,
      stages: costs,
      shared: 0,
      // The dearest of them: coarse looks are decoded at half size.
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
    const { manifest } = parts;
    const settings = cascadeSettings(manifest.sampling, given);
    const { side, spread } = manifest.coarse;
    const grid = { coarse: side, fine: sideOf(manifest), spread };
    const model = new CascadeModel(parts, headOf(manifest, head, settings), settings, grid);
    const generator = batchGenerator(traits, model);
    return manifest.graphs.narrow ? { ...generator, encode: (image) => model.encode(image) } : generator;
  },
};

/** A cascade of two masked-set levels in a folder. */
export function cascadeDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}

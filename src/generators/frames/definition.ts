import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../core/generator.ts";
import { batchGenerator } from "../batches.ts";
import { canvasSchema, canvasShape, clipViews, sideOf } from "../canvas/manifest.ts";
import { type CanvasFamily, type CanvasModel, canvasDefinition } from "../canvas/open.ts";
import { FrameModel, type FrameParts } from "./model.ts";
import { planEntry } from "./plan.ts";
import { frameSampling, frameSettings } from "./settings.ts";

const count = z.int().positive();

const schema = canvasSchema.extend({
  family: z.literal("frames"),
  sampling: frameSampling,
  frames: count,
  /** Sides of a patch in tokens, of frames in full and in outline. */
  patch: z.looseObject({ full: count, outline: count }),
  /** Latest frames of the context that are read in full; older ones are read in outline, at so many FLOPs a pass. */
  context: z.looseObject({ full: count, outlineFlops: z.number().min(0) }),
  plan: planEntry.optional(),
});

type Manifest = z.output<typeof schema>;

const settingsOf = ({ sampling, plan }: Manifest, given: unknown) =>
  frameSettings(sampling, plan?.steps, given);
const shapeOf = (manifest: Manifest) => ({ ...canvasShape(manifest), frames: manifest.frames });

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = settingsOf(manifest, given);
  const { flops, frames, context, plan, graphs, tokenChannels } = manifest;
  const groups = settings.guidance === 1 ? 1 : 2;
  // A frame's passes, those over the frames before it in full, and one over the frame that has become older.
  const costs = Array.from({ length: frames }, (_, frame) => {
    const inFull = Math.min(frame, context.full);
    return (
      groups * (flops.pass * (settings.steps + inFull) + (frame > context.full ? context.outlineFlops : 0))
    );
  });
  const labels = Array.from({ length: frames }, (_, frame) => `frame ${frame + 1}`);
  const tokens = sideOf(manifest) ** 2;
  const stages = [
    ...(plan ? [{ label: "plan", tokens: frames, cost: plan.flops * settings.planSteps! }] : []),
    ...labels.map((label, frame) => ({ label, tokens, cost: costs[frame]! })),
  ];
  const shares = labels.map((_, frame) => (frame + 1) / frames);
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: shapeOf(manifest),
    stages: stages.map((stage, index) => ({
      ...{ index, label: stage.label, tokens: stage.tokens },
      final: (index + 1) / stages.length,
    })),
    tokens: { kind: "vector", width: tokenChannels },
    looks: ["now"],
    can: ["keep", "rewind", "negative-prompt", ...(graphs.narrow ? (["source"] as const) : [])],
    cost: {
      prompt: flops.prompt,
      stages: stages.map(({ cost }) => cost),
      shared: 0,
      ...clipViews(manifest, frames),
      // A plan is sketched, which costs nothing worth counting.
      viewShares: plan ? [0, ...shares] : shares,
    },
    memory: null,
    settings: { ...settings },
  };
}

interface Loaded {
  readonly manifest: Manifest;
  readonly parts: FrameParts;
}

const family: CanvasFamily<Manifest, Loaded> = {
  schema,
  traits: traitsOf,
  async load({ manifest, prompts, space, step, open }) {
    const { architecture, patch, plan, context, tokenChannels } = manifest;
    const graphs = {
      ...{ step, depth: architecture.depth, heads: architecture.heads },
      headDim: architecture.width / architecture.heads,
      ...{ side: sideOf(manifest), values: tokenChannels, patch },
    };
    const planner = plan ? { graph: await open(plan), facts: plan } : null;
    return {
      manifest,
      parts: { prompts, space, graphs, shape: shapeOf(manifest), full: context.full, plan: planner },
    };
  },
  create: ({ manifest, parts }, traits, given) =>
    batchGenerator(traits, new FrameModel(parts, settingsOf(manifest, given))),
};

/** Clips frame by frame in a folder: FAR's, or with a plan first Epona's. */
export function framesDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}

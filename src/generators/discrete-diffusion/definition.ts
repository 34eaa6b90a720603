import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../core/generator.ts";
import { batchGenerator } from "../batches.ts";
import { Codebook } from "../canvas/codebook.ts";
import { canvasSchema, canvasShape, sideOf } from "../canvas/manifest.ts";
import { type CanvasFamily, type CanvasModel, type CanvasParts, canvasDefinition } from "../canvas/open.ts";
import { DiffusionModel } from "./model.ts";
import { diffusionSampling, diffusionSettings } from "./settings.ts";

const schema = canvasSchema.extend({
  family: z.literal("discrete-diffusion"),
  sampling: diffusionSampling,
  /** float32 [entries, tokenChannels] */
  codebook: z.looseObject({ file: z.string(), sha256: z.string(), entries: z.int().min(2) }),
});

type Manifest = z.output<typeof schema>;

interface Loaded {
  readonly parts: CanvasParts<Manifest>;
  readonly codebook: Codebook;
}

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = diffusionSettings(manifest.sampling, given);
  const { flops, codebook, graphs } = manifest;
  const step = flops.pass * (settings.guidance === 1 ? 1 : 2);
  const stages = Array.from({ length: settings.steps }, (_, index) => index);
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: canvasShape(manifest),
    stages: stages.map((index) => ({
      index,
      label: `t ${settings.steps - index}`,
      tokens: sideOf(manifest) ** 2,
      final: 1,
    })),
    tokens: { kind: "index", size: codebook.entries },
    looks: ["now", "ahead"],
    can: [
      "keep",
      "refine",
      "rewind",
      "log-prob",
      "negative-prompt",
      ...(graphs.narrow === undefined ? [] : (["source"] as const)),
    ],
    cost: {
      prompt: flops.prompt,
      stages: stages.map(() => step),
      shared: 0,
      // The guess at the end falls off every step, so looking ahead costs no pass.
      views: { now: flops.view, ahead: flops.view },
      // All of a canvas again means all steps up to here again.
      refine: stages.map((index) => step * (index + 1)),
    },
    memory: null,
    settings: { ...settings },
  };
}

const family: CanvasFamily<Manifest, Loaded> = {
  schema,
  traits: traitsOf,
  async load(parts) {
    const { folder, manifest } = parts;
    const bytes = await readFile(join(folder.dir, manifest.codebook.file));
    const { entries } = manifest.codebook;
    if (bytes.length !== 4 * entries * manifest.tokenChannels) {
      throw new TtsVarError(
        "MODEL_INVALID",
        `${join(folder.dir, manifest.codebook.file)} has ${bytes.length} bytes, not those of ${entries} entries of ${manifest.tokenChannels}`,
      );
    }
    return {
      parts,
      codebook: new Codebook(
        new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
        entries,
      ),
    };
  },
  create({ parts, codebook }, traits, given) {
    const settings = diffusionSettings(parts.manifest.sampling, given);
    return batchGenerator(traits, new DiffusionModel(parts, codebook, settings));
  },
};

/** A discrete diffusion model in a folder: VQ-DDM's process over the whole canvas. */
export function discreteDiffusionDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}

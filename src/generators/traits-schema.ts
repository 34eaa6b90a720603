import * as z from "zod";
import { SPECIFICATION_VERSION } from "../core/generator.ts";

const count = z.int().positive();
/** Longest side of an image: what a server claims, its clients will take the memory for. */
const MOST_PIXELS = 8192;
const MOST_FRAMES = 4096;
const side = count.max(MOST_PIXELS, `images must not be over ${MOST_PIXELS} pixels wide or high`);
const flops = z.number().min(0);
const bytes = z.number().min(0);
const lookSchema = z.enum(["now", "ahead"]);
export const viewSchema = z.strictObject({
  size: z.number().gt(0).max(1),
  look: lookSchema,
  quality: z.literal("draft").optional(),
});
const looks = z.partialRecord(lookSchema, flops);

/** `GeneratorTraits` as plain data, from a server or a plug-in. Members that a newer version adds are ignored. */
export const traitsSchema = z
  .object({
    specificationVersion: z.literal(SPECIFICATION_VERSION),
    name: z.string().min(1),
    /** Changes whenever an equal task could give other pixels under equal settings. */
    version: z.string().min(1),
    shape: z.object({
      id: z.string().min(1),
      width: side,
      height: side,
      frames: count.max(MOST_FRAMES),
      grain: side,
    }),
    stages: z
      .array(
        z.object({
          index: z.int().min(0),
          label: z.string(),
          tokens: z.int().min(0),
          final: z.number().min(0).max(1),
        }),
      )
      .min(1),
    tokens: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("bits"), width: count }),
      z.object({ kind: z.literal("index"), size: count }),
      z.object({ kind: z.literal("vector"), width: count }),
    ]),
    looks: z.array(lookSchema).min(1),
    can: z.array(
      z.enum([
        "keep",
        "encode",
        "refine",
        "rewind",
        "log-prob",
        "negative-prompt",
        "prompt-at",
        "source",
        "mask",
      ]),
    ),
    cost: z.object({
      prompt: flops,
      stages: z.array(flops),
      shared: z.int().min(0),
      views: looks,
      drafts: looks.optional(),
      viewShares: z.array(z.number().min(0).max(1)).optional(),
      ahead: z.array(flops).optional(),
      refine: z.array(flops).optional(),
      refineWhole: z.boolean().optional(),
    }),
    memory: z
      .object({
        weights: bytes,
        prompt: bytes,
        kept: z.array(bytes),
        working: z.array(bytes),
        view: z.object({ bytes, atOnce: z.number().positive() }),
      })
      .nullable(),
    settings: z.record(z.string(), z.unknown()),
  })
  .superRefine(({ stages, shape, looks: told, cost, memory }, context) => {
    const wrong = (message: string) => context.addIssue({ code: "custom", message });
    const lists = {
      "cost.stages": cost.stages,
      "cost.viewShares": cost.viewShares,
      "cost.ahead": cost.ahead,
      "memory.kept": memory?.kept,
      "memory.working": memory?.working,
    };
    for (const [name, list] of Object.entries(lists)) {
      if (list && list.length !== stages.length) wrong(`${name} must have one entry per stage`);
    }
    if (stages.some(({ index }, at) => index !== at)) wrong("stages must be in order");
    if (shape.width % shape.grain !== 0 || shape.height % shape.grain !== 0)
      wrong("sides must divide by the grain");
    for (const each of told) if (cost.views[each] === undefined) wrong(`cost.views has no ${each}`);
    if (!told.includes("now")) wrong("looks must have now");
  });

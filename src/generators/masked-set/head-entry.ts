import * as z from "zod";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { CategoricalHead } from "./categorical-head.ts";
import { DiffusionHead, type TokenHead } from "./head.ts";
import type { MaskedSettings } from "./settings.ts";

/** The net that draws a token, with the FLOPs of drawing one: a step of its diffusion, or all of its channels. */
const file = {
  file: z.string(),
  sha256: z.string(),
  of: z.string().optional(),
  flops: z.number().min(0),
};

export const headEntry = z.discriminatedUnion("kind", [
  z.looseObject({ kind: z.literal("diffusion"), ...file }),
  z.looseObject({
    kind: z.literal("categorical"),
    ...file,
    levels: z.int().min(2),
    order: z.array(z.int().min(0)).min(1),
  }),
]);

/** The head that a manifest describes. */
export function headOf(
  { head, tokenChannels }: { readonly head: z.output<typeof headEntry>; readonly tokenChannels: number },
  graph: OrtSession,
  settings: MaskedSettings,
): TokenHead {
  return head.kind === "diffusion"
    ? new DiffusionHead(graph, tokenChannels, settings)
    : new CategoricalHead(graph, head, settings);
}

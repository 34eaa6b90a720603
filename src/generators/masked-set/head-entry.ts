import * as z from "zod";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { CategoricalHead } from "./categorical-head.ts";
import { DiffusionHead, GUESS_STEPS, type TokenHead } from "./head.ts";
import type { MaskedSettings } from "./settings.ts";

/** A graph, with the FLOPs of running it for one token: a step of its diffusion, or all of its channels. */
const file = {
  file: z.string(),
  sha256: z.string(),
  of: z.string().optional(),
  flops: z.number().min(0),
};

/** The net that draws a token. */
export const headEntry = z.discriminatedUnion("kind", [
  z.looseObject({ kind: z.literal("diffusion"), ...file }),
  z.looseObject({
    kind: z.literal("categorical"),
    ...file,
    levels: z.int().min(2),
    order: z.array(z.int().min(0)).min(1),
  }),
]);

/** FLOPs of drawing a token, and of guessing at one that is masked yet. */
export function tokenCosts(
  { kind, flops }: z.output<typeof headEntry>,
  { guidance, headSteps }: Pick<MaskedSettings, "guidance" | "headSteps">,
): { readonly token: number; readonly guess: number } {
  // A categorical head is guided by its vectors, so it runs once.
  if (kind === "categorical") return { token: flops, guess: flops };
  return { token: (guidance === 1 ? 1 : 2) * headSteps * flops, guess: GUESS_STEPS * flops };
}

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

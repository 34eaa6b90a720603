import { z } from "zod";
import type { Atom } from "../core/benchmark.ts";

/** What a reward found of the questions that an image was to answer. */
export interface RewardVerdict {
  /** Why the image is not right, for people; empty if it is. */
  readonly reason: string;
  readonly atoms: readonly Atom[];
}

const schema = z.looseObject({
  reason: z.string(),
  atoms: z
    .array(
      z.object({
        question: z.string(),
        expected: z.string(),
        p: z.number(),
        skill: z.string(),
        parent: z.array(z.number()),
      }),
    )
    .min(1),
});

/** The verdict in a reward's details, whichever reward gave it: `reason` and `atoms`. Empty if there is none. */
export function verdictOf(details: unknown): { readonly verdict?: RewardVerdict } {
  const { data } = schema.safeParse(details);
  return data ? { verdict: { reason: data.reason, atoms: data.atoms } } : {};
}

import { z } from "zod";

/** What the rows of `prompts.jsonl` have in common, as zod shapes. */
export const itemShape = { prompt: z.string().min(1), tag: z.string().min(1) };

/** Questions whose parents stand before them. */
export const questionRows = z
  .array(
    z.object({
      question: z.string().min(1),
      expected: z.string().min(1),
      skill: z.string().min(1),
      parent: z.array(z.int().min(0)),
    }),
  )
  .min(1)
  .refine((list) => list.every(({ parent }, at) => parent.every((other) => other < at)), {
    error: "a question depends on one that does not stand before it",
  });

/** Number of the sample in `..._3.png`. */
export function placeByEnding(filename: string): { readonly index: null; readonly sample: number | null } {
  const [, sample] = /_(\d+)\.[^.]+$/.exec(filename) ?? [];
  return { index: null, sample: sample === undefined ? null : Number(sample) };
}

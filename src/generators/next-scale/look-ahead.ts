import * as z from "zod";
import type { GeneratorCost, GeneratorTraits } from "../../core/generator.ts";

/** The setting of families whose sessions can look ahead. */
export const lookAheadShape = {
  lookAhead: z.int("must be a whole number from 0").min(0, "must be a whole number from 0").optional(),
};

/**
 * Traits of a next-scale model that can look ahead: from a candidate's stage on, so many further ones are filled with their
 * likeliest tokens, without a draw, and the picture that this gives is decoded (a mean continuation, as far as one picture
 * can stand for it). The stages are computed for that look alone, and charged to it.
 *
 * @param lookAhead stages to go on for; 0: looks show what is there
 * @param passes    FLOPs of one pass of each stage for one candidate, where a stage takes more of them
 */
export function lookingAhead(
  traits: GeneratorTraits,
  lookAhead = 0,
  passes: readonly number[] = traits.cost.stages,
): GeneratorTraits {
  if (lookAhead === 0) return traits;
  const { cost, memory, settings } = traits;
  const both = (views: GeneratorCost["views"]) => ({ ...views, ahead: views.now! });
  const ahead = passes.map((_, stage) =>
    passes.slice(stage + 1, stage + 1 + lookAhead).reduce((sum, flops) => sum + flops, 0),
  );
  return {
    ...traits,
    looks: ["now", "ahead"],
    cost: {
      ...cost,
      views: both(cost.views),
      ...(cost.drafts ? { drafts: both(cost.drafts) } : {}),
      ahead,
    },
    // What the continued candidates keep goes as soon as they were seen.
    memory: memory && {
      ...memory,
      view: {
        ...memory.view,
        bytes: memory.view.bytes + Math.max(...memory.kept) + Math.max(...memory.working),
      },
    },
    settings: { ...settings, lookAhead },
  };
}

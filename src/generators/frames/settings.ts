import * as z from "zod";
import { parseSettings } from "../parse-settings.ts";

/** Settings of a model that draws clips frame by frame. */
export interface FrameSettings {
  /** Steps of the solver in a frame. */
  readonly steps: number;
  /** Weight of the text in the velocity; 1: no guidance. */
  readonly guidance: number;
  /** Steps of the solver of the plan; models without one have no such setting. */
  readonly planSteps?: number;
}

const steps = z.int("must be a whole number from 1 to 1000").min(1).max(1000);
const guidance = z.number().min(0, "must be from 0 to 100").max(100, "must be from 0 to 100");

/** A manifest's settings. */
export const frameSampling = z.looseObject({ steps, guidance });

const schema = z.strictObject({ steps, guidance }).partial();
const planned = schema.extend({ planSteps: steps.optional() });

/**
 * The model's settings with the configured ones on top.
 *
 * @param planSteps of the model's plan; absent: it has none
 * @throws TtsVarError CONFIG_INVALID
 */
export function frameSettings(
  own: z.output<typeof frameSampling>,
  planSteps: number | undefined,
  given: unknown,
): FrameSettings {
  const chosen: z.output<typeof planned> = parseSettings(planSteps === undefined ? schema : planned, given);
  const steps = chosen.planSteps ?? planSteps;
  return {
    steps: chosen.steps ?? own.steps,
    guidance: chosen.guidance ?? own.guidance,
    ...(steps === undefined ? {} : { planSteps: steps }),
  };
}

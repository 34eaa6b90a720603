import * as z from "zod";
import { parseSettings } from "../parse-settings.ts";

/** Settings of a flow by cells. */
export interface FlowSettings {
  /** Steps of the solver within a cell. */
  readonly steps: number;
  /** Weight of the text in the velocity; 1: no guidance. */
  readonly guidance: number;
  /** `ramp`: from 1 at the first cell to the whole weight at the last (xAR); `constant`: the same everywhere. */
  readonly guidanceSchedule: "ramp" | "constant";
  /** `sde`: with noise in every step, so copies part within a cell; `ode`: only by the noise that a cell starts from. */
  readonly solver: "sde" | "ode";
}

const fields = {
  steps: z.int("must be a whole number from 1 to 1000").min(1).max(1000),
  guidance: z.number().min(0, "must be from 0 to 100").max(100, "must be from 0 to 100"),
  guidanceSchedule: z.enum(["ramp", "constant"], 'must be "ramp" or "constant"'),
  solver: z.enum(["sde", "ode"], 'must be "sde" or "ode"'),
};

/** A manifest's settings. */
export const flowSampling = z.looseObject(fields);

const schema = z.strictObject(fields).partial();

/** The model's settings with the configured ones on top. @throws TtsVarError CONFIG_INVALID */
export function flowSettings(own: z.output<typeof flowSampling>, given: unknown): FlowSettings {
  const chosen = parseSettings(schema, given);
  return {
    steps: chosen.steps ?? own.steps,
    guidance: chosen.guidance ?? own.guidance,
    guidanceSchedule: chosen.guidanceSchedule ?? own.guidanceSchedule,
    solver: chosen.solver ?? own.solver,
  };
}

/** Weight of guidance in a cell. */
export function cellGuidance(
  { guidance, guidanceSchedule }: FlowSettings,
  cell: number,
  cells: number,
): number {
  if (guidanceSchedule === "constant" || cells === 1) return guidance;
  return 1 + ((guidance - 1) * cell) / (cells - 1);
}

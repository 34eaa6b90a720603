import * as z from "zod";
import { parseSettings } from "../parse-settings.ts";
import type { Order } from "./reveals.ts";

/** Settings of a masked-set model. */
export interface MaskedSettings {
  /** Sets of tokens that are revealed, one a stage. */
  readonly stages: number;
  /** Steps of the diffusion of a token. */
  readonly headSteps: number;
  /** Weight of the text in the predicted noise; 1: no guidance. */
  readonly guidance: number;
  /** `linear`: the weight grows from 1 with the share that is revealed; `constant`: the same everywhere. */
  readonly guidanceSchedule: "linear" | "constant";
  /** Scale of the noise that a token's diffusion adds. */
  readonly temperature: number;
  readonly order: Order;
  /** What guidance leads away from where a task names nothing; absent: the learned stand-in for no text. */
  readonly negativePrompt?: string;
}

const whole = (from: number, to: number) =>
  z.int(`must be a whole number from ${from} to ${to}`).min(from).max(to);
const fields = {
  stages: whole(2, 1024),
  headSteps: whole(1, 1000),
  guidance: z.number().min(0, "must be from 0 to 100").max(100, "must be from 0 to 100"),
  guidanceSchedule: z.enum(["linear", "constant"], 'must be "linear" or "constant"'),
  temperature: z.number().min(0, "must be from 0 to 10").max(10, "must be from 0 to 10"),
  order: z.enum(["random", "raster", "semantic"], 'must be "random", "raster" or "semantic"'),
  negativePrompt: z.string(),
};

/** A manifest's settings. */
export const maskedSampling = z.looseObject({
  ...fields,
  guidanceSchedule: fields.guidanceSchedule.default("linear"),
  order: fields.order.default("random"),
  negativePrompt: fields.negativePrompt.optional(),
});

const schema = z.strictObject(fields).partial();

export { fields as maskedFields };

/** The model's settings with the configured ones on top. @throws TtsVarError CONFIG_INVALID */
export function maskedSettings(own: z.output<typeof maskedSampling>, given: unknown): MaskedSettings {
  return chosenSettings(own, parseSettings(schema, given));
}

/** The model's settings with checked ones on top. */
export function chosenSettings(
  own: z.output<typeof maskedSampling>,
  chosen: z.output<typeof schema>,
): MaskedSettings {
  const negativePrompt = chosen.negativePrompt ?? own.negativePrompt;
  return {
    stages: chosen.stages ?? own.stages,
    headSteps: chosen.headSteps ?? own.headSteps,
    guidance: chosen.guidance ?? own.guidance,
    guidanceSchedule: chosen.guidanceSchedule ?? own.guidanceSchedule,
    temperature: chosen.temperature ?? own.temperature,
    order: chosen.order ?? own.order,
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
  };
}

/** Weight of guidance once a share of the tokens is revealed, those of the stage included. */
export function guidanceAt({ guidance, guidanceSchedule }: MaskedSettings, revealed: number): number {
  return guidanceSchedule === "constant" ? guidance : 1 + (guidance - 1) * revealed;
}

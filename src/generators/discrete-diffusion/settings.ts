import * as z from "zod";
import { parseSettings } from "../parse-settings.ts";

/** Settings of a discrete diffusion model. */
export interface DiffusionSettings {
  /** Strided steps of the reverse process, each a stage. */
  readonly steps: number;
  /** Weight of the text in the logits of the clean codes; 1: no guidance, half the cost. */
  readonly guidance: number;
  /** Temperature of the clean codes, > 0. */
  readonly temperature: number;
  /** With a source image: what is drawn anew, as left, top, right and bottom in shares of the sides. */
  readonly region: readonly [number, number, number, number];
}

const share = z.number().min(0, "must be from 0 to 1").max(1, "must be from 0 to 1");

/** A manifest's settings. */
export const diffusionSampling = z.looseObject({
  steps: z.int().min(1),
  guidance: z.number().min(0),
  temperature: z.number().positive(),
});

const schema = z.strictObject({
  steps: z.int("must be a whole number from 2 to 1000").min(2).max(1000).optional(),
  guidance: z.number().min(0, "must be from 0 to 100").max(100, "must be from 0 to 100").optional(),
  temperature: z
    .number()
    .gt(0, "must be above 0 and at most 100")
    .max(100, "must be above 0 and at most 100")
    .optional(),
  region: z
    .tuple([share, share, share, share])
    .refine(([left, top, right, bottom]) => left < right && top < bottom, {
      error: "must be left, top, right, bottom with left < right and top < bottom",
    })
    .optional(),
});

/** The middle of the picture. */
const REGION = [0.25, 0.25, 0.75, 0.75] as const;

/** The model's settings with the configured ones on top. @throws TtsVarError CONFIG_INVALID */
export function diffusionSettings(
  own: z.output<typeof diffusionSampling>,
  given: unknown,
): DiffusionSettings {
  const { steps, guidance, temperature, region = [...REGION] } = parseSettings(schema, given);
  return {
    steps: steps ?? own.steps,
    guidance: guidance ?? own.guidance,
    temperature: temperature ?? own.temperature,
    region,
  };
}

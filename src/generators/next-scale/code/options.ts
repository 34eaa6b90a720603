import { resolve } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { embeddedModelPath } from "../../../inference/folder/model-folder.ts";
import { parseSettings } from "../../parse-settings.ts";
import {
  type ManifestSampling,
  resolveSettings,
  type SamplingSettings,
  samplingSchema,
} from "../settings.ts";

const model = z.string().min(1);

const schema = z.strictObject({
  ...samplingSchema.shape,
  drafter: model.optional(),
  refiner: model.optional(),
  at: z.int("must be a whole number from 1").min(1, "must be a whole number from 1").optional(),
});

/** Which models draw together: names of models, or folders. */
export interface Pair {
  readonly drafter: string;
  readonly refiner: string;
}

/** The pair that `--model code` means: the embedded generator, and its small partner in `zoo/`. */
const DEFAULT_PAIR: Pair = { drafter: "embedded", refiner: "small" };

/** Which models are asked for. @throws TtsVarError CONFIG_INVALID */
export function choosePair(given: unknown): Pair {
  const { drafter = DEFAULT_PAIR.drafter, refiner = DEFAULT_PAIR.refiner } = parseSettings(schema, given);
  return { drafter, refiner };
}

export interface HandOverSettings extends Pair {
  /** First stage of the refiner. */
  readonly at: number;
  readonly sampling: SamplingSettings;
}

/**
 * The pair's settings in full: sampling as the drafter's manifest has it, the hand-over before the last two of all scales.
 *
 * @param opened the pair whose networks are open, which other settings cannot change
 * @throws TtsVarError CONFIG_INVALID
 */
export function resolveHandOver(
  own: ManifestSampling,
  given: unknown,
  scales: number,
  opened: Pair,
): HandOverSettings {
  const { drafter, refiner, at = Math.max(1, scales - 2), ...sampling } = parseSettings(schema, given);
  for (const [role, asked] of Object.entries({ drafter, refiner })) {
    const open = opened[role as keyof Pair];
    if (asked === undefined || asked === open) continue;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.${role}: ${open} is open, not ${asked}; open another generator for another ${role}`,
    );
  }
  if (at >= scales) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `model.options.at is ${at}, but there are ${scales} scales: the hand-over is before scale 1 to ${scales - 1}`,
    );
  }
  return { ...opened, at, sampling: resolveSettings(own, sampling, scales) };
}

/** Folder of one of the pair. @throws TtsVarError PLUGIN_UNKNOWN, MODEL_NOT_FOUND */
export async function folderOf(name: string): Promise<string> {
  if (/[/\\]|^\.\.?$/.test(name)) return resolve(name);
  const folder = embeddedModelPath(name === "embedded" ? "generator" : name);
  if (name !== DEFAULT_PAIR.refiner) return folder;
  return folder.catch((cause: unknown) => {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `the small partner of the embedded generator is not here (zoo/${name}); train it (training/README.md), ` +
        "or name another with --set model.options.refiner=NAME or FOLDER",
      { cause },
    );
  });
}

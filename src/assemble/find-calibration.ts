import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { NO_CALIBRATION } from "../config/schema.ts";
import type { Calibration } from "../core/calibration.ts";
import { TtsVarError } from "../core/errors.ts";
import { packageRoot } from "../io/package-root.ts";

/** What a calibration has to be made for. */
export interface CalibrationKey {
  /** As in the configuration, for the file's name. */
  readonly modelName: string;
  /** name@version of the generator. */
  readonly model: string;
  readonly reward: string;
  readonly rewardVersion: string;
}

/** File name of the calibration of a model and a reward. */
export function calibrationFile(model: string, reward: string): string {
  return `${slug(model)}-${slug(reward)}.json`;
}

/**
 * The calibration of a run: the named file, or else the one that comes with this package for the model and the reward.
 * One that was measured on other weights is refused if it was named, and left out with a warning if it was only found.
 *
 * @param named `calibration` of the configuration; "none" leaves it out
 * @throws CONFIG_NOT_FOUND, CONFIG_INVALID
 */
export async function findCalibration(
  named: string | undefined,
  key: CalibrationKey,
  warn: (message: string) => void,
): Promise<Calibration | null> {
  if (named === NO_CALIBRATION) return null;
  if (named !== undefined) {
    const calibration = await readCalibration(named);
    const difference = differenceOf(calibration, key);
    if (!difference) return calibration;
    throw new TtsVarError(
      "CONFIG_INVALID",
      `the calibration ${named} was made for ${difference}; make one with \`tts-var calibrate\`, or name none`,
    );
  }
  const path = join(packageRoot(), "configs", "calibration", calibrationFile(key.modelName, key.reward));
  if (!existsSync(path)) return null;
  const calibration = await readCalibration(path);
  const difference = differenceOf(calibration, key);
  if (!difference) return calibration;
  warn(
    `the calibration for ${key.modelName} and ${key.reward} was made for ${difference} and is left out; \`tts-var calibrate\` renews it`,
  );
  return null;
}

/** What a calibration was made for, if it is not what is asked for. */
function differenceOf(calibration: Calibration, key: CalibrationKey): string | null {
  if (calibration.model !== key.model) return `the model ${calibration.model}, not ${key.model}`;
  if (calibration.reward !== key.reward) return `the reward ${calibration.reward}, not ${key.reward}`;
  if (calibration.rewardVersion !== key.rewardVersion)
    return `version ${calibration.rewardVersion} of ${key.reward}, not ${key.rewardVersion}`;
  return null;
}

async function readCalibration(path: string): Promise<Calibration> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new TtsVarError(
      "CONFIG_NOT_FOUND",
      `cannot read the calibration ${path} (${cause.code}); make one with \`tts-var calibrate\``,
      { cause },
    );
  });
  const content = parseJson(text) as Partial<Calibration> | null;
  if (content?.schemaVersion !== 1 || !Array.isArray(content.scales)) {
    throw new TtsVarError("CONFIG_INVALID", `${path} is no calibration file (schemaVersion 1 with scales)`);
  }
  return content as Calibration;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function slug(name: string): string {
  return name
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .toLowerCase();
}

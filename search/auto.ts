import { z } from "zod";
import type { Calibration, Recommendation } from "../src/core/calibration.ts";
import { canonicalJson } from "../src/core/canonical-json.ts";
import { TtsVarError } from "../src/core/errors.ts";
import { defineStrategy, type SearchFunction, type Strategy } from "../src/core/strategy.ts";
import { bestOfN } from "./best-of-n.ts";
import { calibratedStop } from "./calibrated-stop.ts";
import { draftAndCommit } from "./draft-and-commit.ts";
import { halving } from "./halving.ts";
import { spread } from "./spread.ts";

/** A strategy with options, as `auto` may choose it. */
export interface AutoCandidate {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly search: SearchFunction;
}

/**
 * What `tts-var calibrate` compares and `auto` chooses from; the first one is what the others have to beat. None of them
 * copies a candidate, so recorded trees decide them all.
 */
export const autoCandidates: readonly AutoCandidate[] = [
  candidate(bestOfN),
  candidate(draftAndCommit),
  candidate(spread),
  candidate(spread, { drafts: true }),
  candidate(halving),
  candidate(calibratedStop),
];

function candidate<Options>(
  strategy: Strategy<Options>,
  options: Readonly<Record<string, unknown>> = {},
): AutoCandidate {
  const parsed = strategy.options["~standard"].validate(options);
  if (!("value" in parsed)) throw new Error(`the options of ${strategy.name} are wrong`);
  return { name: strategy.name, options, search: strategy.create(parsed.value) };
}

/**
 * Whatever `tts-var calibrate` found best for this model, reward and budget; best-of-n where nothing was measured or nothing
 * was ahead of it.
 */
export const auto = defineStrategy({
  name: "auto",
  summary: "the strategy that the calibration found best for this model, reward and budget; else best-of-n",
  source: "this project",
  options: z.strictObject({}),
  create: () => (space) => autoChoice(space.calibration, space.units).search(space),
});

/** @throws TtsVarError CONFIG_INVALID for a calibration that recommends what this version does not know */
export function autoChoice(calibration: Calibration | null, units: number): AutoCandidate {
  const measured = recommendationFor(calibration, units);
  if (!measured) return autoCandidates[0]!;
  const { strategy, options } = measured;
  const wanted = canonicalJson(options);
  const known = autoCandidates.find(
    ({ name, options: own }) => name === strategy && canonicalJson(own) === wanted,
  );
  if (known) return known;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `the calibration recommends ${strategy} with ${wanted}, which \`auto\` does not know; renew it with \`tts-var calibrate\``,
  );
}

/** That of the largest budget measured that is not above this one: what pays for less fits into more. */
function recommendationFor(calibration: Calibration | null, units: number): Recommendation | undefined {
  return (calibration?.recommended ?? [])
    .filter((each) => each.units <= units * (1 + 1e-9))
    .sort((a, b) => b.units - a.units)[0];
}

import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "../io/claim.ts";
import { type OutputOptions, openOutputFolder, parsedOrUndefined } from "../io/ownership.ts";
import { layout } from "./layout.ts";

/** Files that say how far an evaluation is. */
const CONTINUED = [
  ...[layout.evaluation, layout.results, `${layout.results}.partial`],
  ...[layout.timing, layout.allocation],
];

/**
 * Claims a folder for an evaluation while it runs. What an evaluation writes is known by its layout, so a folder where
 * one was begun is its own; elsewhere nothing may stand where it would write.
 *
 * @throws OUTPUT_UNWRITABLE naming what stands there, or who writes there
 */
export function claimEvaluation(dir: string, options: OutputOptions): Claim {
  return openOutputFolder(dir, options, () => ({
    isOurs: isEvaluation(join(dir, layout.evaluation)),
    inTheWay: readdirSync(dir)
      .filter((name) => [...CONTINUED, layout.prompts].includes(name) || /^\d+$/.test(name))
      .sort(),
    continued: CONTINUED,
  }));
}

function isEvaluation(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  const record = parsedOrUndefined(readFileSync(path, "utf8")) as Record<string, unknown> | null | undefined;
  return typeof record?.["configHash"] === "string" && typeof record["promptsHash"] === "string";
}

/** Whether a file can be read again after it was written: no device, no pipe. */
export function isPlain(path: string): boolean {
  const entry = statSync(path, { throwIfNoEntry: false });
  return entry === undefined ? !lstatSync(path, { throwIfNoEntry: false }) : entry.isFile();
}

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "../io/claim.ts";
import { type OutputOptions, openOutputFolder, parsedOrUndefined } from "../io/ownership.ts";

const REPORT = ["table.json", "table.md", "scores.svg", "previews.svg", "README.md"];

/**
 * Claims a study's folder while it runs. Whether a study of ours filled it is told by its table or its stamp.
 *
 * @throws OUTPUT_UNWRITABLE naming what stands there, or who writes there
 */
export function claimStudy(dir: string, options: OutputOptions): Claim {
  return openOutputFolder(dir, options, () => ({
    isOurs:
      typeof jsonOf(join(dir, "rows", "study.json"))["trees"] === "string" ||
      String(jsonOf(join(dir, "table.json"))["command"]).startsWith("tts-var study run "),
    inTheWay: readdirSync(dir).filter((name) => [...REPORT, "rows"].includes(name)),
    continued: ["study.json", "trees.jsonl", "cells.jsonl"].map((name) => join("rows", name)),
  }));
}

/** Whether a file is a calibration that this program measured; a plot of the same name belongs to it. */
export function isCalibration(path: string): boolean {
  const { scales, measured } = jsonOf(path);
  return Array.isArray(scales) && typeof measured === "object";
}

function jsonOf(path: string): Record<string, unknown> {
  const value = existsSync(path) ? parsedOrUndefined(readFileSync(path, "utf8")) : null;
  return (value ?? {}) as Record<string, unknown>;
}

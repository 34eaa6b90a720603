import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "../io/claim.ts";
import { type OutputOptions, openOutputFolder, parsedOrUndefined } from "../io/ownership.ts";
import { recordFile } from "./study-report.ts";

const REPORT = [
  recordFile,
  "table.json",
  "table.md",
  "scores.svg",
  "previews.svg",
  "models.svg",
  "README.md",
];

/**
 * Claims a study's folder while it runs. Whether a study of ours filled it is told by its stamp, its answers or its table.
 *
 * @throws OUTPUT_UNWRITABLE naming what stands there, or who writes there
 */
export function claimStudy(dir: string, options: OutputOptions): Claim {
  return openOutputFolder(dir, options, () => ({
    isOurs:
      typeof jsonOf(join(dir, "rows", "study.json"))["trees"] === "string" ||
      Array.isArray(headOf(join(dir, recordFile))["tags"]) ||
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
  return objectOf(existsSync(path) ? readFileSync(path, "utf8") : "");
}

/** The first line of a file of JSON lines. */
function headOf(path: string): Record<string, unknown> {
  return objectOf(existsSync(path) ? readFileSync(path, "utf8").split("\n", 1)[0]! : "");
}

function objectOf(text: string): Record<string, unknown> {
  return (parsedOrUndefined(text) ?? {}) as Record<string, unknown>;
}

import { TtsVarError } from "../../core/errors.ts";
import { classNames } from "./vocabulary.ts";

/**
 * Other names of GenEval's classes: COCO's own, those of some RT-DETR exports (VOC's), and what people say. The one table
 * for prompts, metadata, recorded detections and the labels of detectors.
 */
export const otherNames: ReadonlyMap<string, readonly string[]> = new Map([
  ["computer mouse", ["mouse"]],
  ["tv remote", ["remote", "remote control"]],
  ["computer keyboard", ["keyboard"]],
  ["motorcycle", ["motorbike"]],
  ["airplane", ["aeroplane", "plane"]],
  ["bicycle", ["bike"]],
  ["couch", ["sofa"]],
  ["potted plant", ["pottedplant"]],
  ["dining table", ["diningtable", "dining-table"]],
  ["tv", ["tvmonitor", "television"]],
  ["hair drier", ["hair dryer"]],
  ["cell phone", ["mobile phone"]],
  ["refrigerator", ["fridge"]],
  ["donut", ["doughnut"]],
]);

const classes: ReadonlyMap<string, string> = new Map([
  ...[...otherNames].flatMap(([name, others]) => others.map((other) => [other, name] as const)),
  ...classNames.map((name) => [name, name] as const),
]);

/** All names of all classes. */
export const knownNames: readonly string[] = [...classes.keys()];

/** GenEval's name of a class; null for words that are none (a detector's background, "N/A", stuff). */
export function genevalClass(label: string): string | null {
  return classes.get(label.trim().toLowerCase().replaceAll("_", " ")) ?? null;
}

/**
 * GenEval's names of a detector's labels, null for those of other things.
 *
 * @throws MODEL_INVALID when the detector cannot know all of GenEval's classes
 */
export function genevalLabels(
  labels: readonly string[],
  detector: string,
): ReadonlyMap<string, string | null> {
  const names = new Map(labels.map((label) => [label, genevalClass(label)]));
  const mapped = new Set(names.values());
  const lacking = classNames.filter((name) => !mapped.has(name));
  if (lacking.length === 0) return names;
  throw new TtsVarError(
    "MODEL_INVALID",
    `the detector ${detector} cannot judge GenEval: it has no label for ${lacking.length} of ${classNames.length} classes (${lacking.slice(0, 5).join(", ")}, ...)`,
  );
}

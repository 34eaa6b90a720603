import type { Command } from "commander";
import type { Judge } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { nearest } from "../../core/registry.ts";
import { type CropOptions, officialCrop } from "../../eval/geneval/crop.ts";
import type { GenevalMetadata } from "../../eval/geneval/rules.ts";
import { officialOptions, type RuleOptions } from "../../eval/geneval/rules.ts";

export interface JudgeFlags {
  readonly judge: string;
  readonly colorModel?: string;
  readonly options?: readonly string[];
}

/** GenEval's names of the rules' options, and ours. */
const ruleNames: ReadonlyMap<string, keyof RuleOptions> = new Map([
  ["threshold", "threshold"],
  ["counting_threshold", "countingThreshold"],
  ["max_objects", "maxObjects"],
  ["max_overlap", "maxOverlap"],
  ["position_threshold", "positionThreshold"],
]);
const optionNames = [...ruleNames.keys(), "bgcolor", "crop"];

/** Adds the flags that choose the judge. */
export function addJudgeFlags(command: Command): Command {
  return command
    .option(
      "--judge <model>",
      "Detector: detector-b (icons), nanodet (photographs), or a folder (DETR, YOLOS, RT-DETR, MaskFormer)",
      "detector-b",
    )
    .option("--color-model <dir>", "CLIP folder that names colours (default: the detector's own colour head)")
    .option(
      "--options <name=value...>",
      `GenEval's options: ${[...ruleNames]
        .map(([name, key]) => `${name}=${officialOptions[key]}`)
        .join(" ")}; with --color-model bgcolor=#999 (or original) crop=1`,
    );
}

export interface JudgeSettings {
  readonly rules: RuleOptions;
  readonly crop: CropOptions;
}

/** GenEval's options with the given ones; the official values otherwise. @throws USAGE */
export function parseOptions(given: readonly string[] = []): JudgeSettings {
  const rules: Record<keyof RuleOptions, number> = { ...officialOptions };
  let crop = officialCrop;
  for (const text of given) {
    const [name = "", value = ""] = text.split("=");
    const key = ruleNames.get(name);
    if (key !== undefined) rules[key] = parseNumber(text, value);
    else if (name === "bgcolor") crop = { ...crop, background: parseColor(text, value) };
    else if (name === "crop") crop = { ...crop, cut: parseSwitch(text, value) };
    else {
      const close = nearest(name, optionNames);
      throw new TtsVarError(
        "USAGE",
        `--options ${text}: unknown option${close ? `; did you mean "${close}"?` : ""} Known: ${optionNames.join(", ")}.`,
      );
    }
  }
  return { rules, crop };
}

function parseNumber(text: string, value: string): number {
  const parsed = Number(value);
  if (value !== "" && Number.isFinite(parsed) && parsed >= 0) return parsed;
  throw new TtsVarError("USAGE", `--options ${text}: must be a number from 0`);
}

function parseColor(text: string, value: string): CropOptions["background"] {
  if (value === "original") return null;
  const [, short, long] = /^#(?:([0-9a-f]{3})|([0-9a-f]{6}))$/i.exec(value) ?? [];
  const digits = long ?? short?.replace(/./g, "$&$&");
  if (digits === undefined) {
    throw new TtsVarError(
      "USAGE",
      `--options ${text}: must be a colour such as #999 or #a0b0c0, or original`,
    );
  }
  const [red, green, blue] = [0, 2, 4].map((at) => Number.parseInt(digits.slice(at, at + 2), 16));
  return [red!, green!, blue!];
}

function parseSwitch(text: string, value: string): boolean {
  if (value === "0" || value === "1") return value === "1";
  throw new TtsVarError("USAGE", `--options ${text}: must be 0 or 1`);
}

/** @throws USAGE; and whatever opening its models throws */
export async function openJudgeOf(flags: JudgeFlags): Promise<Judge<GenevalMetadata>> {
  const { rules, crop } = parseOptions(flags.options);
  if (crop !== officialCrop && flags.colorModel === undefined) {
    throw new TtsVarError("USAGE", "--options bgcolor and crop are about the crops that --color-model sees");
  }
  const { openJudge } = await import("../../assemble/open-judge.ts");
  return openJudge({ detector: flags.judge, colorModel: flags.colorModel ?? null, rules, crop });
}

import type { Command } from "commander";
import { TtsVarError } from "../../core/errors.ts";
import { nearest } from "../../core/registry.ts";
import type { Judge } from "../../eval/judge.ts";
import { officialOptions, type RuleOptions } from "../../geneval/rules.ts";

export interface JudgeFlags {
  readonly judge: string;
  readonly colorModel?: string;
  readonly options?: readonly string[];
}

/** GenEval's names of its options (`--options k=v`) and ours. */
const optionNames: Readonly<Record<string, keyof RuleOptions>> = {
  threshold: "threshold",
  counting_threshold: "countingThreshold",
  max_objects: "maxObjects",
  max_overlap: "maxOverlap",
  position_threshold: "positionThreshold",
};

/** Adds the flags that choose the judge. */
export function addJudgeFlags(command: Command): Command {
  return command
    .option(
      "--judge <model>",
      "Detector: an embedded model's name, or a folder (DETR, YOLOS, RT-DETR, MaskFormer)",
      "detector-b",
    )
    .option("--color-model <dir>", "CLIP folder that names colours (default: the detector's own colour head)")
    .option(
      "--options <name=value...>",
      `GenEval's options: ${Object.entries(optionNames)
        .map(([name, key]) => `${name}=${officialOptions[key]}`)
        .join(" ")}`,
    );
}

/** Rules with the given options; the official ones otherwise. @throws USAGE */
export function parseRuleOptions(given: readonly string[] = []): RuleOptions {
  const rules: Record<keyof RuleOptions, number> = { ...officialOptions };
  for (const text of given) {
    const [name = "", value = ""] = text.split("=");
    const key = optionNames[name];
    if (key === undefined) {
      const close = nearest(name, Object.keys(optionNames));
      throw new TtsVarError(
        "USAGE",
        `--options ${text}: unknown option${close ? `; did you mean "${close}"?` : ""} Known: ${Object.keys(optionNames).join(", ")}.`,
      );
    }
    const parsed = Number(value);
    if (value === "" || !Number.isFinite(parsed) || parsed < 0) {
      throw new TtsVarError("USAGE", `--options ${text}: must be a number from 0`);
    }
    rules[key] = parsed;
  }
  return rules;
}

export async function openJudgeOf(flags: JudgeFlags): Promise<Judge> {
  const { openJudge } = await import("../../open-judge.ts");
  return openJudge({
    detector: flags.judge,
    colorModel: flags.colorModel ?? null,
    rules: parseRuleOptions(flags.options),
  });
}

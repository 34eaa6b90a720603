import { type Command, Option } from "commander";
import { loadConfigFile } from "../config/load.ts";
import { type ResolvedConfig, resolveConfig } from "../config/resolve.ts";
import { type SearchConfig, searchSchema } from "../config/schema.ts";
import { findPreset } from "./presets.ts";

type Section = "strategy" | "reward" | "features" | "sampling";
type ConfigPath =
  | Exclude<keyof SearchConfig, Section>
  | { [Key in Section]: `${Key}.${keyof SearchConfig[Key] & string}` }[Section];

interface Flag {
  readonly flags: string;
  /** Absent for flags without a value. */
  readonly parse?: (text: string) => unknown;
}

const text = (value: string): unknown => value;

/** A number if it reads as one; otherwise the text, so that validation can quote it. */
function number(value: string): unknown {
  const parsed = value.trim() === "" ? Number.NaN : Number(value);
  return Number.isFinite(parsed) ? parsed : value;
}

function numbers(value: string): unknown {
  return value.split(",").map(number);
}

/** A number for all scales, or a comma-separated list of numbers. */
function numberOrList(value: string): unknown {
  return value.includes(",") ? numbers(value) : number(value);
}

/**
 * The flag of every configuration value; null: settable in files and by `--set` only. A new setting does not compile
 * before its flag is decided here.
 */
const CONFIG_FLAGS: Readonly<Record<ConfigPath, Flag | null>> = {
  prompt: { flags: "-p, --prompt <text>", parse: text },
  budget: { flags: "-b, --budget <units>", parse: number },
  "strategy.name": { flags: "--strategy <name>", parse: text },
  "reward.name": { flags: "--reward <spec>", parse: text },
  model: { flags: "--model <name>", parse: text },
  seed: { flags: "--seed <n>", parse: number },
  out: { flags: "-o, --out <dir>", parse: text },
  negativePrompt: { flags: "--negative-prompt <text>", parse: text },
  "sampling.guidance": { flags: "--guidance <w,...>", parse: numberOrList },
  "sampling.temperature": { flags: "--temperature <t,...>", parse: numberOrList },
  "sampling.topP": { flags: "--top-p <p>", parse: number },
  "sampling.topK": { flags: "--top-k <k>", parse: number },
  "sampling.guidanceUntil": { flags: "--guidance-until <scale>", parse: number },
  "sampling.ratio": { flags: "--ratio <w:h>", parse: text },
  "sampling.size": { flags: "--size <size>", parse: text },
  "sampling.schedule": { flags: "--schedule <id>", parse: text },
  "sampling.bits": { flags: "--bits <file>", parse: text },
  "sampling.bitsUntil": { flags: "--bits-until <scale>", parse: number },
  "features.model": { flags: "--features <name>", parse: text },
  calibration: { flags: "--calibration <file>", parse: text },
  threads: { flags: "--threads <n>", parse: number },
  maxMemory: { flags: "--max-memory <size>", parse: text },
  allowDownload: { flags: "--allow-download" },
  sheet: { flags: "--sheet <which>", parse: text },
  metadata: null,
  "strategy.options": null,
  "reward.options": null,
  "features.reduction": null,
  "features.options": null,
};

/** Adds the flags that describe a search (used by `search`, `plan` and everything that searches). */
export function addSearchFlags(command: Command): Command {
  for (const [path, flag] of Object.entries(CONFIG_FLAGS)) {
    if (flag !== null) {
      const option = new Option(flag.flags, helpOf(path));
      command.addOption(flag.parse ? option.argParser(flag.parse) : option);
    }
    if (path === "budget") {
      command.addOption(
        new Option(
          "--widths <n,...>",
          "Candidates alive at each scale, for strategies that take a schedule (sets strategy.options.widths)",
        ).argParser(numbers),
      );
    }
  }
  return command
    .option("-c, --config <file>", "YAML configuration, or a preset's name (`tts-var list configs`)")
    .option(
      "--set <path=value>",
      "Set any value of the configuration; repeatable",
      (value: string, before: string[] = []) => [...before, value],
    );
}

/** Adds `--force`, for commands that write where others may have written. */
export function addForceFlag(command: Command): Command {
  return command.option("--force", "Replace files at --out that no run of tts-var is known to have written");
}

/** Adds `--json` and `--quiet`. */
export function addOutputFlags(command: Command): Command {
  return command
    .option("--json", "Print one JSON object on stdout")
    .option("-q, --quiet", "No progress on stderr; warnings and errors only");
}

/**
 * Merges defaults, `--config`, flags and `--set` of a parsed command and validates them.
 *
 * @throws TtsVarError CONFIG_INVALID, CONFIG_NOT_FOUND, USAGE
 */
export async function resolveFlags(command: Command): Promise<ResolvedConfig> {
  const given = command.opts<Record<string, unknown>>();
  const flags: { path: string; value: unknown; flag: string }[] = [];
  for (const [path, flag] of Object.entries(CONFIG_FLAGS)) {
    if (flag === null) continue;
    const option = new Option(flag.flags);
    const value = given[option.attributeName()];
    if (value !== undefined) flags.push({ path, value, flag: option.long ?? flag.flags });
  }
  if (given["widths"] !== undefined) {
    flags.push({ path: "strategy.options.widths", value: given["widths"], flag: "--widths" });
  }
  const file = given["config"] as string | undefined;
  return resolveConfig({
    ...(file === undefined ? {} : { file: await loadConfigFile(findPreset(file)) }),
    flags,
    sets: (given["set"] as string[] | undefined) ?? [],
  });
}

/** Description and default of a configuration value, from the schema. */
function helpOf(path: string): string {
  const schema = path.split(".").reduce<unknown>((node, key) => shapeOf(node)?.[key], searchSchema);
  const { description } = schema as { description?: string };
  const fallback = (schema as { safeParse(value: unknown): { data?: unknown } }).safeParse(undefined).data;
  return `${description ?? ""}${fallback === undefined ? "" : ` (default: ${fallback})`}`;
}

function shapeOf(node: unknown): Record<string, unknown> | undefined {
  const schema = node as { shape?: Record<string, unknown>; unwrap?: () => unknown } | undefined;
  return schema?.shape ?? (schema?.unwrap ? shapeOf(schema.unwrap()) : undefined);
}

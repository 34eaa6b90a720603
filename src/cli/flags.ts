import { type Command, Option } from "commander";
import { loadConfigFile } from "../config/load.ts";
import { withRecipe } from "../config/recipe-source.ts";
import { type ConfigSources, type ResolvedConfig, resolveConfig, resolveRecipe } from "../config/resolve.ts";
import { type SearchConfig, type SearchRecipe, searchSchema } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import { readRecipe } from "../run/recipe.ts";
import { findPreset } from "./presets.ts";

type Section = "task" | "strategy" | "reward" | "features" | "model";
type ConfigPath =
  | Exclude<keyof SearchConfig, Section>
  | { [Key in Section]: `${Key}.${keyof SearchConfig[Key] & string}` }[Section];

interface Flag {
  readonly flags: string;
  /** Absent for flags without a value. */
  readonly parse?: (text: string, before?: unknown) => unknown;
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

/** `3:a photo of a dog`, as an entry of `task.promptAt`; one that reads otherwise is left for validation to quote. */
function promptAt(value: string, before: unknown): unknown {
  const [, stage, prompt] = /^\s*(\d+)\s*:\s*(.*)$/s.exec(value) ?? [];
  const entry = stage === undefined ? { stage: value, prompt: "" } : { stage: Number(stage), prompt };
  return [...((before as unknown[] | undefined) ?? []), entry];
}

/**
 * The flag of every configuration value; null: settable in files and by `--set` only. A new setting does not compile
 * before its flag is decided here.
 */
const CONFIG_FLAGS: Readonly<Record<ConfigPath, Flag | null>> = {
  "task.prompt": { flags: "-p, --prompt <text>", parse: text },
  budget: { flags: "-b, --budget <units>", parse: number },
  "strategy.name": { flags: "--strategy <name>", parse: text },
  "reward.name": { flags: "--reward <spec>", parse: text },
  "model.name": { flags: "--model <name>", parse: text },
  "task.seed": { flags: "--seed <n>", parse: number },
  out: { flags: "-o, --out <dir>", parse: text },
  "task.negativePrompt": { flags: "--negative-prompt <text>", parse: text },
  "task.promptAt": { flags: "--prompt-at <stage:text>", parse: promptAt },
  "task.label": { flags: "--label <n>", parse: number },
  "task.source": { flags: "--image <file>", parse: text },
  "task.mask": { flags: "--mask <file>", parse: text },
  "task.maskMode": { flags: "--mask-mode <how>", parse: text },
  "task.keep": { flags: "--tokens <file>", parse: text },
  "task.keepUntil": { flags: "--tokens-until <stage>", parse: number },
  "model.ratio": { flags: "--ratio <w:h>", parse: text },
  "model.size": { flags: "--size <size>", parse: text },
  "model.shape": { flags: "--shape <id>", parse: text },
  rewrite: { flags: "--rewrite <spec>", parse: text },
  "features.model": { flags: "--features <name>", parse: text },
  calibration: { flags: "--calibration <file>", parse: text },
  threads: { flags: "--threads <n>", parse: number },
  provider: { flags: "--provider <name>", parse: text },
  maxMemory: { flags: "--max-memory <size>", parse: text },
  allowDownload: { flags: "--allow-download" },
  keep: { flags: "--keep <k>", parse: number },
  diversity: { flags: "--diversity <d>", parse: number },
  sheet: { flags: "--sheet <which>", parse: text },
  report: { flags: "--report <which>", parse: text },
  metadata: { flags: "--no-metadata" },
  "task.metadata": null,
  "model.options": null,
  "strategy.options": null,
  "reward.options": null,
  reject: null,
  "features.reduction": null,
  "features.options": null,
};

/** Short forms of settings that many families of generators have; a family that lacks one says so. */
const SETTING_FLAGS: readonly (Flag & { readonly setting: string; readonly help: string })[] = [
  {
    setting: "guidance",
    flags: "--guidance <w,...>",
    parse: numberOrList,
    help: "Classifier-free guidance weight, one for all stages or a list",
  },
  {
    setting: "temperature",
    flags: "--temperature <t,...>",
    parse: numberOrList,
    help: "Temperature of the token distribution, one for all stages or a list",
  },
  { setting: "topP", flags: "--top-p <p>", parse: number, help: "Nucleus threshold in (0, 1]" },
  {
    setting: "topK",
    flags: "--top-k <k>",
    parse: number,
    help: "Likeliest values that a token is drawn from; 1 is greedy, 2 and more mean nothing for bits",
  },
  {
    setting: "guidanceUntil",
    flags: "--guidance-until <stage>",
    parse: number,
    help: "First stage without guidance, at half the cost",
  },
];

/**
 * Adds the flags that describe a search (used by `search`, `plan` and everything that searches).
 *
 * @param without settings that the command decides itself
 */
export function addSearchFlags(command: Command, without: readonly ConfigPath[] = []): Command {
  for (const [path, flag] of Object.entries(CONFIG_FLAGS)) {
    if (flag !== null && !without.includes(path as ConfigPath)) {
      const option = new Option(flag.flags, helpOf(path));
      command.addOption(flag.parse ? option.argParser(flag.parse) : option);
    }
    if (path === "budget") {
      command.addOption(
        new Option(
          "--widths <n,...>",
          "Candidates alive at each scale, for strategies that take a schedule, as tts-var does (sets strategy.options.widths)",
        ).argParser(numbers),
      );
    }
  }
  for (const { flags, parse, setting, help } of SETTING_FLAGS) {
    const option = new Option(flags, `${help} (sets model.options.${setting}; default: the model's)`);
    command.addOption(option.argParser(parse!));
  }
  return command
    .option("-c, --config <file>", "YAML configuration, or a preset's name (`tts-var list configs`)")
    .option(
      "--set <path=value>",
      "Set any value of the configuration; repeatable",
      (value: string, before: string[] = []) => [...before, value],
    );
}

/** Adds `--from`, for commands that can repeat one search. */
export function addFromFlag(command: Command): Command {
  return command.option("--from <png>", "Repeat the search that a picture came from; other flags change it");
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
  return resolveConfig(await sourcesOf(command));
}

/** Like `resolveFlags`, for commands whose prompts come from elsewhere. */
export async function resolveRecipeFlags(
  command: Command,
  fixed: Readonly<Record<string, unknown>> = {},
): Promise<ResolvedConfig<SearchRecipe>> {
  const sources = await sourcesOf(command);
  const own = Object.entries(fixed).map(([path, value]) => ({ path, value, flag: "this command" }));
  return resolveRecipe({ ...sources, flags: [...(sources.flags ?? []), ...own] });
}

/** What a parsed command gives of a configuration, for those who merge it themselves. */
export async function sourcesOf(command: Command): Promise<ConfigSources> {
  const given = command.opts<Record<string, unknown>>();
  const named = [
    ...Object.entries(CONFIG_FLAGS).flatMap(([path, flag]) =>
      flag === null ? [] : [{ path, flags: flag.flags }],
    ),
    ...SETTING_FLAGS.map(({ setting, flags }) => ({ path: `model.options.${setting}`, flags })),
    { path: "strategy.options.widths", flags: "--widths <n,...>" },
  ];
  const flags = named.flatMap(({ path, flags: text }) => {
    const option = new Option(text);
    const name = option.attributeName();
    // A flag that switches off is true as long as nobody gave it.
    const value = command.getOptionValueSource(name) === "default" ? undefined : given[name];
    return value === undefined ? [] : [{ path, value, flag: option.long ?? text }];
  });
  const file = given["config"] as string | undefined;
  const from = given["from"] as string | undefined;
  const sources = { flags, sets: (given["set"] as string[] | undefined) ?? [] };
  if (from === undefined)
    return file === undefined ? sources : { file: await loadConfigFile(findPreset(file)), ...sources };
  if (file !== undefined)
    throw new TtsVarError("USAGE", "--from and --config are both whole configurations; give one of them");
  const { recipe } = readRecipe(from);
  if (recipe === null)
    throw new TtsVarError(
      "USAGE",
      `${from} does not tell how it was made; \`tts-var show\` tells what it has`,
    );
  return withRecipe(from, recipe.config, sources);
}

/** Description and default of a configuration value, from the schema. */
function helpOf(path: string): string {
  const schema = path.split(".").reduce<unknown>((node, key) => shapeOf(node)?.[key], searchSchema);
  const { description } = schema as { description?: string };
  const fallback = (schema as { safeParse(value: unknown): { data?: unknown } }).safeParse(undefined).data;
  const text = description ?? "";
  // A flag that switches off says what then does not happen.
  if (fallback === true) return `Do not ${text.charAt(0).toLowerCase()}${text.slice(1)}`;
  return `${text}${fallback === undefined ? "" : ` (default: ${fallback})`}`;
}

function shapeOf(node: unknown): Record<string, unknown> | undefined {
  const schema = node as { shape?: Record<string, unknown>; unwrap?: () => unknown } | undefined;
  return schema?.shape ?? (schema?.unwrap ? shapeOf(schema.unwrap()) : undefined);
}

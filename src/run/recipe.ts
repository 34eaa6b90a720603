import { z } from "zod";
import { OUTPUT_SETTINGS } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type { GeneratorTraits } from "../core/generator.ts";
import { readTexts } from "../io/png-text.ts";
import type { RunRecord } from "./run-folder.ts";

/** How a picture was made: the text chunk `tts-var` of PNG files. Enough to make it again. */
const recipeSchema = z.object({
  schemaVersion: z.literal(1),
  program: z.literal("tts-var"),
  version: z.string().max(100),
  /** The configuration without output settings; validated as any configuration before it is used. */
  config: z.record(z.string(), z.unknown()),
  configHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Version (hash of the weights) by model or reward name. */
  models: z.record(z.string(), z.string()),
  /** Which candidate of the search the picture is; null for pictures of all of it. */
  candidate: z
    .strictObject({
      id: z.string().regex(/^c\d+(\.\d+)*$/),
      /** Of the candidate's picture, for clips of all frames. */
      pixelHash: z.string().regex(/^[0-9a-f]{64}$/),
      /** One for a still; the hash of a clip is not that of a frame. */
      frames: z.int().min(1),
      score: z.number(),
    })
    .nullable(),
});

export type Recipe = z.output<typeof recipeSchema>;

export function recipeOf(record: RunRecord, candidate: Recipe["candidate"]): Recipe {
  const entries = Object.entries(record.config);
  return {
    schemaVersion: 1,
    program: "tts-var",
    version: record.versions["tts-var"] ?? "",
    config: Object.fromEntries(
      entries.filter(([key]) => !(OUTPUT_SETTINGS as readonly string[]).includes(key)),
    ),
    configHash: record.configHash,
    models: record.models,
    candidate,
  };
}

/** What a recipe says in the words that other programs know. */
interface CommonFacts {
  readonly prompt: string;
  readonly negativePrompt?: string | undefined;
  readonly seed: number | string;
  readonly strategy: string;
  readonly reward: string;
  readonly budget: number;
}

/** The text chunks of a picture: `parameters` in the form that image programs share, and `tts-var` as JSON. */
export function recipeTexts(
  recipe: Recipe,
  facts: CommonFacts,
  { name, version, shape, stages, settings }: GeneratorTraits,
): Record<string, string> {
  const { guidance } = settings as { guidance?: unknown };
  const fields: readonly (readonly [string, unknown])[] = [
    ["Steps", stages.length],
    ["Sampler", facts.strategy],
    ...(typeof guidance === "number" ? [["CFG scale", guidance] as const] : []),
    ["Seed", facts.seed],
    ["Size", `${shape.width}x${shape.height}`],
    ["Model hash", version.split("@").at(-1)],
    ["Model", name],
    ["Budget", facts.budget],
    ["Reward", facts.reward],
    ...(recipe.candidate ? [["Candidate", recipe.candidate.id] as const] : []),
    ["Version", `tts-var ${recipe.version}`],
  ];
  const lines = [
    facts.prompt,
    ...(facts.negativePrompt === undefined ? [] : [`Negative prompt: ${facts.negativePrompt}`]),
    fields.map(([key, value]) => `${key}: ${quoted(String(value))}`).join(", "),
  ];
  return { parameters: lines.join("\n"), "tts-var": JSON.stringify(recipe) };
}

/** Values that would be taken for several are JSON strings. */
function quoted(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}

/**
 * Reads what a PNG file tells of its making.
 *
 * @returns the recipe, if tts-var wrote one, and the text `parameters` of any program
 * @throws TtsVarError EVAL_DATA for what is no PNG file, or a recipe that is damaged or newer than this program
 */
export function readRecipe(path: string): { recipe: Recipe | null; parameters: string | null } {
  const texts = readTexts(path);
  const text = texts.get("tts-var");
  const parameters = texts.get("parameters") ?? null;
  if (text === undefined) return { recipe: null, parameters };
  const parsed = recipeSchema.safeParse(parse(text));
  if (parsed.success) return { recipe: parsed.data, parameters };
  const [issue] = parsed.error.issues;
  throw new TtsVarError(
    "EVAL_DATA",
    `${path}: its recipe cannot be read (${issue!.path.join(".") || "all of it"}: ${issue!.message}); it is damaged, or of another version of tts-var`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { z } from "zod";
import { PROVIDERS } from "../core/provider.ts";
import { MASK_MODES } from "../core/task.ts";

/**
 * The one description of a search's configuration: validation, defaults, `--help` texts, `configs/schema.json` and the
 * reference page all come from here.
 */

export const MIN_BUDGET = 1;
export const MAX_BUDGET = 4096;
const MAX_PROMPT = 100_000;

const anyOptions = z.record(z.string(), z.unknown());

const namedPlugin = (what: string, name: string) =>
  z.strictObject({
    name: z.string().min(1).default(name).describe(what),
    options: anyOptions.prefault({}).describe("Options of its own; see `tts-var list`"),
  });

/** What to draw: becomes the search's `Task`. */
const taskShape = {
  negativePrompt: z
    .string()
    .max(MAX_PROMPT, `must have at most ${MAX_PROMPT} characters`)
    .optional()
    .describe("What guidance leads away from (default: nothing in particular)"),
  promptAt: z
    .array(
      z.strictObject({
        stage: z.int("must be a whole number from 1").min(1, "must be a whole number from 1"),
        prompt: z.string().min(1).max(MAX_PROMPT, `must have at most ${MAX_PROMPT} characters`),
      }),
    )
    .optional()
    .describe("Another text from a stage on, such as 3:a photo of a dog; repeatable"),
  metadata: anyOptions
    .prefault({})
    .describe("What rewards may know of the prompt beyond its text, such as a GenEval row"),
  seed: z
    .int(`must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`)
    .min(0, `must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`)
    .default(0)
    .describe("Seed of all randomness; equal seeds give equal images"),
  label: z
    .int("must be a whole number from 0")
    .min(0, "must be a whole number from 0")
    .optional()
    .describe("Number of a class, for models that know classes only"),
  source: z.string().min(1).optional().describe("Image to edit or to go on from, for models that can"),
  mask: z
    .string()
    .min(1)
    .optional()
    .describe("Image of where the source is drawn anew (white); the rest (black) is kept"),
  maskMode: z
    .enum(MASK_MODES, { error: 'must be "paste" or "requantise"' })
    .optional()
    .describe(
      "How what is kept gets into a candidate: by the source's tokens (paste), or by those that lead to it from what was drawn (requantise, the default)",
    ),
  keep: z
    .string()
    .min(1)
    .optional()
    .describe("File with tokens to take instead of drawn ones (tokens/ of a run, or `tts-var tokens`)"),
  keepUntil: z
    .int("must be a whole number from 1")
    .min(1, "must be a whole number from 1")
    .optional()
    .describe("First stage that is drawn although the file has tokens for it: a variation"),
};

const prompt = z
  .string("must be a text; give it with --prompt")
  .max(MAX_PROMPT, `must have at most ${MAX_PROMPT} characters`)
  .refine((text) => text.trim() !== "", "must not be empty; describe a scene, such as 'a photo of two dogs'")
  .describe("What to draw");

/** How to search. Everything but the task, which a benchmark gives. */
const recipeShape = {
  budget: z
    .number(`must be a number from ${MIN_BUDGET} to ${MAX_BUDGET}`)
    .min(MIN_BUDGET, `must be at least ${MIN_BUDGET} and at most ${MAX_BUDGET}`)
    .max(MAX_BUDGET, `must be at least ${MIN_BUDGET} and at most ${MAX_BUDGET}`)
    .default(8)
    .describe("Cost limit in units; one unit = one full generation, its decode and its score"),
  strategy: namedPlugin("How to search; see `tts-var list strategies`", "auto").prefault({}),
  reward: namedPlugin(
    "What to search for: a name (`tts-var list rewards`), ./file.mjs, npm:package or http://host:port",
    "clip",
  ).prefault({}),
  model: z
    .strictObject({
      name: z
        .string()
        .min(1)
        .default("embedded")
        .describe(
          "Generator: a name (`tts-var list models`), a folder, ./file.mjs, npm:package, or a server: http://host:port",
        ),
      options: anyOptions
        .prefault({})
        .describe(
          "Settings of its family, such as guidance or temperature; what is left open is the model's",
        ),
      ratio: z
        .string()
        .regex(/^\d*\.?\d+(:\d*\.?\d+)?$/, "must be width:height, such as 4:3")
        .optional()
        .describe("Width to height of the image, such as 4:3; the nearest that the model has"),
      size: z
        .string()
        .regex(
          /^(\d*\.?\d+M|[1-9]\d*x[1-9]\d*)$/i,
          "must be megapixels such as 0.25M, or pixels such as 512x512",
        )
        .optional()
        .describe(
          "Size of the image in megapixels (0.25M) or pixels (512x512); the nearest that the model has",
        ),
      shape: z
        .string()
        .min(1)
        .optional()
        .describe("Ratio and size by the model's own name for them (default: its first)"),
    })
    .prefault({}),
  rewrite: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Says the prompt otherwise before it is drawn: ./file.mjs, npm:package or http://host:port; rewards go by the original",
    ),
  reject: z
    .array(
      z.strictObject({
        candidate: z.string().regex(/^c\d+(\.\d+)*$/, "must be a candidate's id, such as c3 or c3.1"),
        stage: z.int("must be a whole number from 0").min(0, "must be a whole number from 0"),
      }),
    )
    .optional()
    .describe(
      "Candidates that shall not go on after a stage, whatever the strategy finds (`tts-var studio`)",
    ),
  features: z
    .strictObject({
      model: z.string().min(1).default("dual-encoder").describe("Encoder whose tokens are clustered"),
      reduction: z.string().min(1).default("pca").describe("How its tokens become one vector per image"),
      options: anyOptions.prefault({}).describe("Options of the encoder"),
    })
    .prefault({}),
  calibration: z
    .string()
    .min(1)
    .optional()
    .describe(
      "File of `tts-var calibrate`: how well previews predict the final reward (default: the one that comes with the package for this model and reward; none: without)",
    ),
  allowDownload: z
    .boolean()
    .default(false)
    .describe("Let models that are named by hub id be fetched; everything embedded works offline"),
  threads: z
    .int("must be a whole number from 1 to 256")
    .min(1, "must be a whole number from 1 to 256")
    .max(256, "must be a whole number from 1 to 256")
    .optional()
    .describe("Inference threads (default: as many as there are cores); does not change the images"),
  provider: z
    .enum(PROVIDERS)
    .optional()
    .describe(
      "Where models are computed (default: cpu); other providers round otherwise, and batches may change what is drawn there",
    ),
  maxMemory: z
    .string()
    .regex(/^\d*\.?\d+ ?([KMGT]i?)?B?$/i, "must be a size such as 8GiB or 500MB")
    .optional()
    .describe(
      "Memory for the generator, such as 8GiB; larger batches are split, with equal images (default: nine tenths of the machine's)",
    ),
  out: z
    .string()
    .min(1)
    .optional()
    .describe("Folder of the run (default: results/runs/<time>-<prompt>-<hash>)"),
  keep: z
    .int("must be a whole number from 1 to 64")
    .min(1, "must be a whole number from 1 to 64")
    .max(64, "must be a whole number from 1 to 64")
    .optional()
    .describe("Answers: the best finished candidate and others that are good and different (the best-k set)"),
  diversity: z
    .number("must be a number from 0 to 1")
    .min(0, "must be a number from 0 to 1")
    .max(1, "must be a number from 0 to 1")
    .optional()
    .describe("What counts in the best-k set: 0, how good they are; 1, how different (default: 0.5)"),
  sheet: z
    .enum(["seen", "full", "none"], { error: 'must be "seen", "full" or "none"' })
    .default("seen")
    .describe("Contact sheet: previews the search looked at, all previews (extra decodes), or none"),
  report: z
    .enum(["html", "none"], { error: 'must be "html" or "none"' })
    .default("html")
    .describe("Report: report.html with all there is to see of the search, or none"),
  metadata: z
    .boolean()
    .default(true)
    .describe("Write into PNG files how they were made, so that `show` and `search --from` can tell"),
};

/** The configuration of one search. */
export const searchSchema = z.strictObject({
  task: z.strictObject({ prompt, ...taskShape }, { error: "must say what to draw; give --prompt" }),
  ...recipeShape,
});

/** The configuration of many searches: prompts come from elsewhere. */
export const recipeSchema = z.strictObject({
  task: z.strictObject({ prompt: prompt.optional(), ...taskShape }).prefault({}),
  ...recipeShape,
});

/** One of many prompts, with what differs from the configured task. */
export const promptSchema = z.strictObject({
  prompt,
  seed: taskShape.seed.unwrap().optional(),
  negativePrompt: taskShape.negativePrompt,
  label: taskShape.label,
  metadata: anyOptions.optional(),
});

/** A complete, validated configuration. */
export type SearchConfig = z.output<typeof searchSchema>;

/** A validated configuration that leaves the prompt open. */
export type SearchRecipe = z.output<typeof recipeSchema>;

/** Settings that cannot change a result; left out of the configuration's hash. */
export const OUTPUT_SETTINGS = [
  "out",
  "threads",
  "maxMemory",
  "sheet",
  "report",
  "metadata",
  "keep",
  "diversity",
  "allowDownload",
] as const satisfies readonly (keyof SearchRecipe)[];

/** `diversity` where `keep` is given alone. */
export const DEFAULT_DIVERSITY = 0.5;

/** Places where a bare string stands for an object with that `name`: `strategy: tts-var`. */
export const NAMED_PLUGINS = [
  "strategy",
  "reward",
  "model",
] as const satisfies readonly (keyof SearchConfig)[];

/** Places that may hold a path; in a configuration file it is relative to the file. */
export const PATH_SETTINGS: readonly string[] = [
  "reward.name",
  "strategy.name",
  "model.name",
  "features.model",
  "rewrite",
];
/** Value of `calibration` that leaves out the one that comes with the package. */
export const NO_CALIBRATION = "none";
/** Places that always hold a path. */
export const FILE_SETTINGS: readonly string[] = [
  "calibration",
  "out",
  "task.keep",
  "task.source",
  "task.mask",
];

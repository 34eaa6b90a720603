import { basename } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";

const settings = z.record(z.string(), z.unknown());
const options = settings.prefault({});
const plugin = z.strictObject({ name: z.string().min(1), options });
const cellName = z.strictObject({ arm: z.string().min(1), units: z.number().min(1) });

/** A study: which strategies, at which budgets, on which prompts, judged by whom. */
export const studySchema = z.strictObject({
  title: z.string().min(1).describe("Heading of the report"),
  question: z.string().default("").describe("What the study is to find out"),
  findings: z.string().default("").describe("What it found, for the report; Markdown"),
  search: z
    .record(z.string(), z.unknown())
    .prefault({})
    .describe(
      "Settings of every search, as in a search configuration: model, reward, features, sampling, calibration",
    ),
  models: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      "Models that the study is run with one by one, each in a folder of its own, and then side by side",
    ),
  rewards: z
    .record(z.string(), plugin)
    .prefault({})
    .describe("Further rewards that strategies may ask for, by name"),
  finalRewards: z
    .array(z.string().min(1))
    .prefault([])
    .describe("Those of them that only look at finished images; trees do not score previews with them"),
  reliabilities: z
    .array(z.number().min(0).max(1))
    .prefault([])
    .describe("Adds virtual rewards judge-R, which agree with the judge as far as R says"),
  judge: z.string().min(1).default("detector-b").describe("Detector of the judge; must not be the reward's"),
  prompts: z
    .strictObject({
      seed: z.string().min(1).default("study").describe("Seed of the generated prompts"),
      count: z.int().positive().default(60),
      disjointFrom: z
        .array(z.string().min(1))
        .optional()
        .describe("Prompt sets whose scenes must not occur: seed:count (tuning:96), or metadata files"),
    })
    .prefault({}),
  replicates: z.int().positive().default(2).describe("Independent repetitions per prompt"),
  seed: z.string().min(1).default("0"),
  budgets: z.array(z.number().min(1)).min(1).default([2, 4, 8, 16]),
  tree: z
    .strictObject({
      width: z.int().positive().default(32).describe("Candidates recorded per prompt and replicate"),
      previews: z
        .array(z.union([z.number().gt(0).max(1), z.literal("draft")]))
        .min(1)
        .default([0.5])
        .describe(
          "Previews recorded: sizes as fractions of the side, or drafts at full size; now, and ahead where the model can",
        ),
      copies: z
        .int()
        .min(0)
        .default(0)
        .describe("Candidates of which a second end is drawn after every look: how much is decided by then"),
      scales: z
        .array(z.int().min(0))
        .nullable()
        .default(null)
        .describe("Scales at which previews are recorded; null: all"),
      features: z
        .boolean()
        .default(false)
        .describe(
          "Record features of previews too; exact only for reductions of one image at a time (pool, cls), others run live",
        ),
      tokens: z
        .boolean()
        .optional()
        .describe(
          "Record tokens too, for strategies that compare them, and tabulate what their distance tells",
        ),
    })
    .prefault({}),
  treesOf: z
    .string()
    .min(1)
    .optional()
    .describe("Another study beside this one, of equal prompts and settings, whose trees are used"),
  reference: z.string().min(1).default("best-of-n").describe("Arm that all others are compared with"),
  arms: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        strategy: plugin,
        budgets: z.array(z.number().min(1)).min(1).optional().describe("Instead of the study's"),
        live: z
          .boolean()
          .default(false)
          .describe("Run searches instead of drawing trees: cheaper for strategies that mostly stop early"),
        sampling: settings.optional().describe("Settings of the proposal that differ from the study's"),
        features: settings.optional().describe("Settings of the features that differ from the study's"),
      }),
    )
    .min(1),
  contrasts: z
    .array(z.strictObject({ of: cellName, against: cellName }))
    .prefault([])
    .describe("Further paired differences, also between budgets"),
  draws: z.int().positive().default(2000).describe("Bootstrap draws of the correlations of previews"),
});
export type StudyConfig = z.output<typeof studySchema>;

/**
 * @param lineOf line of a path in the file, where it is known
 * @throws CONFIG_INVALID listing every problem
 */
export function parseStudy(
  value: unknown,
  file: string,
  lineOf: (path: string) => number | undefined = () => undefined,
): StudyConfig {
  const at = (path: readonly PropertyKey[]): string => {
    const line = lineOf(path.join("."));
    return line === undefined ? file : `${file}:${line}`;
  };
  const refuse = (problems: readonly string[]): TtsVarError =>
    new TtsVarError("CONFIG_INVALID", problems.join("\n"), { details: { problems } });
  const parsed = studySchema.safeParse(value);
  if (!parsed.success) {
    throw refuse(
      parsed.error.issues.map(({ path, message }) =>
        [at(path), ...(path.length > 0 ? [path.join(".")] : []), message].join(": "),
      ),
    );
  }
  const { arms, budgets, contrasts, models, reference, search } = parsed.data;
  const { model } = search;
  const named = typeof model === "object" && model !== null ? "name" in model : model !== undefined;
  if (models && named)
    throw refuse([`${at(["models"])}: models and search.model are both given; name the models once`]);
  const folders = models?.map((model) => basename(model));
  const again = folders?.find((folder, index) => folders.indexOf(folder) !== index);
  if (again !== undefined) throw refuse([`${at(["models"])}: ${again} is named twice`]);
  const names = arms.map(({ name }) => name);
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index);
  if (twice >= 0) throw refuse([`${at(["arms", twice])}: two arms are named "${names[twice]}"`]);
  if (!names.includes(reference)) {
    throw refuse([
      `${at(["reference"])}: reference "${reference}" is not among the arms: ${names.join(", ")}`,
    ]);
  }
  for (const [index, { of, against }] of contrasts.entries()) {
    for (const { arm, units } of [of, against]) {
      const known = arms.find(({ name }) => name === arm);
      if (known && (known.budgets ?? budgets).includes(units)) continue;
      throw refuse([
        `${at(["contrasts", index])}: contrasts name ${arm} at ${units} units, which no arm runs`,
      ]);
    }
  }
  return parsed.data;
}

import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";

const options = z.record(z.string(), z.unknown()).prefault({});
const plugin = z.strictObject({ name: z.string().min(1), options });

/** A study: which strategies, at which budgets, on which prompts, judged by whom. */
export const studySchema = z.strictObject({
  title: z.string().min(1).describe("Heading of the report"),
  question: z.string().default("").describe("What the study is to find out"),
  search: z
    .record(z.string(), z.unknown())
    .prefault({})
    .describe(
      "Settings of every search, as in a search configuration: model, reward, features, sampling, calibration",
    ),
  rewards: z
    .record(z.string(), plugin)
    .prefault({})
    .describe("Further rewards that strategies may ask for, by name"),
  judge: z.string().min(1).default("detector-b").describe("Detector of the judge; must not be the reward's"),
  prompts: z
    .strictObject({
      seed: z
        .string()
        .min(1)
        .default("study")
        .describe("Seed of the generated prompts; tuning must use another one"),
      count: z.int().positive().default(60),
    })
    .prefault({}),
  replicates: z.int().positive().default(2).describe("Independent repetitions per prompt"),
  seed: z.string().min(1).default("0"),
  budgets: z.array(z.number().min(1)).min(1).default([2, 4, 8, 16]),
  tree: z
    .strictObject({
      width: z.int().positive().default(32).describe("Candidates recorded per prompt and replicate"),
      previews: z
        .array(z.number().gt(0).max(1))
        .min(1)
        .default([0.5])
        .describe("Preview sizes recorded, as fractions of the side"),
    })
    .prefault({}),
  reference: z.string().min(1).default("best-of-n").describe("Arm that all others are compared with"),
  arms: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        strategy: plugin,
        budgets: z.array(z.number().min(1)).min(1).optional().describe("Instead of the study's"),
      }),
    )
    .min(1),
  draws: z.int().positive().default(2000).describe("Bootstrap draws"),
});
export type StudyConfig = z.output<typeof studySchema>;

/** @throws CONFIG_INVALID listing every problem */
export function parseStudy(value: unknown, where: string): StudyConfig {
  const parsed = studySchema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new TtsVarError("CONFIG_INVALID", `${where}: ${problems.join("; ")}`, { details: { problems } });
  }
  const names = parsed.data.arms.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TtsVarError("CONFIG_INVALID", `${where}: two arms are named "${twice}"`);
  if (!names.includes(parsed.data.reference)) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `${where}: reference "${parsed.data.reference}" is not among the arms: ${names.join(", ")}`,
    );
  }
  return parsed.data;
}

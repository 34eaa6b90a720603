import * as z from "zod";
import { MAX_BUDGET, MIN_BUDGET } from "../config/schema.ts";

/** What goes over the wire between a loop that draws and a strategy that decides. `docs/selection-server.md` says it in words. */
export const PROTOCOL = "tts-var-selection/1";
export const PREFIX = "/v1/";

const positive = z.number().positive();
const price = z.number().min(0).default(0);

/** `POST /v1/sessions`. */
export const createSchema = z.strictObject({
  strategy: z.union([
    z.string().min(1),
    z.strictObject({ name: z.string().min(1), options: z.record(z.string(), z.unknown()).optional() }),
  ]),
  /** Units; one is a whole image with its full view and its score. */
  budget: z.number().min(MIN_BUDGET).max(MAX_BUDGET),
  /** How many, or each with its price; the price of one is 1 unless it says otherwise. */
  stages: z.union([
    z.int().min(1).max(10_000),
    z
      .array(z.strictObject({ label: z.string().max(100).optional(), cost: positive.default(1) }))
      .min(1)
      .max(10_000),
  ]),
  /** Prices beside the stages', in the same measure. */
  costs: z.strictObject({ prompt: price, view: price, reward: price, features: price }).prefault({}),
  looks: z
    .array(z.enum(["now", "ahead"]))
    .min(1)
    .default(["now"]),
  image: z
    .strictObject({
      width: z
        .int()
        .positive()
        .max(2 ** 16),
      height: z
        .int()
        .positive()
        .max(2 ** 16),
      grain: z.int().positive().default(8),
    })
    .prefault({ width: 1024, height: 1024 }),
  reward: z
    .strictObject({
      direction: z.enum(["higher", "lower"]).default("higher"),
      range: z.tuple([z.number(), z.number()]).nullable().default(null),
      suggestedLambda: positive.default(10),
    })
    .prefault({}),
  /** Whether the loop can describe images as vectors. */
  features: z.boolean().default(false),
  seed: z.union([z.int(), z.string().max(256)]).default(0),
  prompt: z.string().max(100_000).default(""),
});
export type CreateRequest = z.output<typeof createSchema>;

/** `POST /v1/sessions/<session>`: what was asked for, in the order of the ids that were named. */
export const answerSchema = z.strictObject({
  revision: z.int().min(0),
  scores: z.array(z.number()).optional(),
  features: z.array(z.array(z.number()).min(1)).min(1).optional(),
});
export type AnswerRequest = z.output<typeof answerSchema>;

/** One thing that the loop has to do. Candidates are known by population and id. */
export type Deed =
  | { readonly action: "start"; readonly population: number; readonly ids: readonly string[] }
  /** Runs the next stage; after it, `stage` stages are done. */
  | { readonly action: "step"; readonly population: number; readonly stage: number }
  /** `into` has these candidates, in this order; the same `from` several times is a copy, to be drawn on under its own id. */
  | {
      readonly action: "select" | "branch";
      readonly population: number;
      readonly into: number;
      readonly picks: readonly { readonly from: string; readonly id: string }[];
    }
  | { readonly action: "release"; readonly population: number };

/** What the strategy wants to know before it goes on. */
export interface Question {
  readonly for: "scores" | "features";
  readonly population: number;
  readonly stage: number;
  readonly ids: readonly string[];
  /** Size as a share of the full picture's sides, and how an unfinished candidate is looked at. */
  readonly view: { readonly size: number; readonly look: "now" | "ahead" };
}

/** Where a session stands. */
export interface Turn {
  /** To be done first, in this order. */
  readonly do: readonly Deed[];
  readonly ask: Question | null;
  /** In the end: the finished candidates, and which of them is the answer. */
  readonly answer: {
    readonly population: number;
    readonly ids: readonly string[];
    readonly best: string;
  } | null;
  /** Units. */
  readonly spent: number;
  readonly budget: number;
}

import type { CandidateId } from "./ids.ts";
import type { RgbImage } from "./image.ts";
import type { Task } from "./task.ts";
import type { TokenKind, Tokens } from "./tokens.ts";

/** Version of this contract. A generator of another one is refused. */
export const SPECIFICATION_VERSION = 2;

/** One step of a staged generator: a scale, a group of revealed tokens, a diagonal, a block, a frame. */
export interface Stage {
  readonly index: number;
  /** For people: `4x4`, `t 12`, `cell 2`, `frame 3`. */
  readonly label: string;
  /** Tokens that it writes. */
  readonly tokens: number;
  /** Share of the picture that is final after it; 1 for stages that each refine the whole of it. */
  readonly final: number;
}

/** How an unfinished candidate is looked at: what is there `now`, or the model's guess at its end (`ahead`). */
export type Look = "now" | "ahead";

/**
 * How well a view is decoded: in `full`, or as a `draft`, good enough to compare candidates by for a few per cent of the
 * price (Layton's two-quality decoder).
 */
export type Quality = "full" | "draft";

/** A look at a size: the share of the full picture's sides, in (0, 1]. Smaller ones are cheaper. */
export interface View {
  readonly size: number;
  readonly look: Look;
  /** Absent: `full`. */
  readonly quality?: "draft" | undefined;
}

/** The whole picture, as it is. */
export const FULL_VIEW: View = { size: 1, look: "now" };

/** What a view shows. */
export interface Picture {
  /** One image for stills; all frames so far for clips. */
  readonly frames: readonly [RgbImage, ...RgbImage[]];
  /** Share of the pixels that mean anything yet, in (0, 1]. */
  readonly coverage: number;
}

/** The image that stands for a picture: of a clip its middle frame. */
export function stillOf({ frames }: Picture): RgbImage {
  return frames[frames.length >> 1]!;
}

/** Form of the finished picture. */
export interface Shape {
  /** The model's own name for aspect ratio and size. */
  readonly id: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Sides of views are multiples of this many pixels. */
  readonly grain: number;
}

/** Sides of a view in pixels: the nearest multiples of the grain, at least one of it and at most the whole. */
export function sidesOf({ width, height, grain }: Shape, size: number): { width: number; height: number } {
  const side = (full: number): number =>
    grain * Math.min(full / grain, Math.max(1, Math.round((full / grain) * size)));
  return { width: side(width), height: side(height) };
}

/** A view of a size, or the whole where that size comes to the whole. */
export function viewAt(shape: Shape, size: number, look: Look, quality: Quality = "full"): View {
  const { width, height } = sidesOf(shape, size);
  const whole = width >= shape.width && height >= shape.height;
  return { size: whole ? 1 : size, look, ...(quality === "draft" ? { quality } : {}) };
}

/** Share of the full picture's pixels that a view has. */
export function shareOf(shape: Shape, view: View): number {
  const { width, height } = sidesOf(shape, view.size);
  return (width * height) / (shape.width * shape.height);
}

/**
 * What a model can do beyond drawing: take given tokens (`keep`), turn an image into tokens (`encode`), draw uncertain
 * tokens of the latest stage again (`refine`), go back to an earlier stage (`rewind`), tell the probability of what it
 * drew (`log-prob`), be led away from a text (`negative-prompt`), be given another text from a stage on (`prompt-at`),
 * start from an image (`source`), draw only a part of one anew (`mask`).
 */
export type Capability =
  | "keep"
  | "encode"
  | "refine"
  | "rewind"
  | "log-prob"
  | "negative-prompt"
  | "prompt-at"
  | "source"
  | "mask";

/** FLOPs (2 per multiply-accumulate) for the traits' shape and settings, at a nominal length of the prompt. */
export interface GeneratorCost {
  /** Text and conditioning of one text, once per task. */
  readonly prompt: number;
  /** Each stage, for one candidate. */
  readonly stages: readonly number[];
  /** Leading stages without randomness before them: computed once, whatever the width. */
  readonly shared: number;
  /** A full-size picture, by look; a smaller view costs its share of the pixels. */
  readonly views: Readonly<Partial<Record<Look, number>>>;
  /** The same for drafts, of those looks that the model can draft; absent: it has no draft decoder. */
  readonly drafts?: Readonly<Partial<Record<Look, number>>> | undefined;
  /** Share of a view's price after each stage; absent: all of it. Clips decode the frames that are there, a plan none. */
  readonly viewShares?: readonly number[] | undefined;
  /** What a look ahead takes before it is decoded, after each stage; absent: nothing, the guess is at hand. */
  readonly ahead?: readonly number[] | undefined;
  /** Drawing all tokens of a stage again, by stage; a share costs its share. With the capability `refine`. */
  readonly refine?: readonly number[];
  /** Whether a share costs as much as all tokens: models that look at a whole stage in every pass. */
  readonly refineWhole?: boolean | undefined;
}

/** Looks that a model can draft. */
export function draftsOf({ drafts = {} }: GeneratorCost): Look[] {
  return (["now", "ahead"] as const).filter((look) => drafts[look] !== undefined);
}

/** Bytes for the traits' shape and settings, estimated, so that a plan can say what a search needs. */
export interface GeneratorMemory {
  /** Weights as they lie in memory, and what the runtime keeps beside them. */
  readonly weights: number;
  /** Text and conditioning of a task: its result, and the work that makes it. */
  readonly prompt: number;
  /** What one candidate keeps after each stage, in all; it falls where caches are cut. */
  readonly kept: readonly number[];
  /** Beyond all that is kept, while each stage is computed, for one candidate. */
  readonly working: readonly number[];
  /** A full-size picture while it is decoded, and how many of these are decoded at once (fractions count pixels). */
  readonly view: { readonly bytes: number; readonly atOnce: number };
}

/** A generator without its weights: plain data, the same from a manifest, a thread and a server. */
export interface GeneratorTraits {
  readonly specificationVersion: typeof SPECIFICATION_VERSION;
  readonly name: string;
  /** Changes whenever an equal task could give other pixels under equal settings (weights hash). */
  readonly version: string;
  readonly shape: Shape;
  readonly stages: readonly Stage[];
  readonly tokens: TokenKind;
  /** Looks that views may ask for; `now` is always among them. */
  readonly looks: readonly Look[];
  readonly can: readonly Capability[];
  readonly cost: GeneratorCost;
  /** Null: somewhere else, or too small to matter. */
  readonly memory: GeneratorMemory | null;
  /** Settings in full, the family's defaults filled in. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Leading stages that a task computes once, whatever the width: as long as nothing was drawn, all candidates are one. Kept
 * tokens put off the first draw; the stage with it is shared where a stage is computed before its draws, and not where its
 * tokens follow from each other (a model that shares no stage of its own).
 */
export function sharedStages(
  { cost, stages }: { readonly cost: GeneratorCost; readonly stages: readonly Stage[] },
  keep = 0,
): number {
  return Math.min(stages.length, keep > 0 ? keep + Math.min(1, cost.shared) : cost.shared);
}

/** A kept row and the id under which it continues. */
export interface Pick {
  readonly parent: number;
  readonly id: CandidateId;
}

/** What a stage tells for nothing beyond its tokens. */
export interface StageSignals {
  /** Hash of each candidate's drawn tokens (`tokenHash`). */
  readonly tokenHash: readonly string[];
  /**
   * One value a candidate by name, where the model has it: `logProb` (of the drawn tokens under the sampled distribution,
   * summed over the stage, nats), `entropy` (mean per token element, nats), `guidanceGap` (mean absolute difference of
   * conditional and unconditional logits), `confidence`.
   */
  readonly values: Readonly<Record<string, Float64Array>>;
}

/** A population of candidates of one task on its way through the stages. */
export interface Session {
  readonly ids: readonly CandidateId[];
  /** Number of stages done; as many as the traits have when finished. */
  readonly stage: number;
  /** Runs the next stage for all candidates. */
  step(): Promise<StageSignals>;
  /** Keeps, reorders or duplicates candidates in place. Lazy: caches are shared, nothing is copied. */
  select(picks: readonly Pick[]): Promise<void>;
  /** Like `select`, but as a new session; this one stays usable. */
  branch(picks: readonly Pick[]): Promise<Session>;
  /** Pictures of the given rows. Draws no randomness and changes nothing. */
  view(rows: readonly number[], view: View): Promise<Picture[]>;
  /** Tokens that the given rows wrote in a stage that is done. */
  tokens(rows: readonly number[], stage: number): Promise<Tokens[]>;
  /**
   * Draws a share, in (0, 1], of the latest stage's least certain tokens again, keyed by the new ids under which the
   * candidates continue. Capability `refine`.
   */
  refine?(share: number, ids: readonly CandidateId[]): Promise<StageSignals>;
  /** Goes back to when `stage` stages were done; the candidates continue under new ids. Capability `rewind`. */
  rewind?(stage: number, ids: readonly CandidateId[]): Promise<void>;
  release(): void;
}

/**
 * A generator that draws pictures in stages. Implementations hold weights; all state of a task lives in sessions. Draws
 * are keyed by (seed, prompt, candidate id, stage, position): they never depend on the batch.
 */
export interface Generator extends AsyncDisposable {
  readonly traits: GeneratorTraits;
  /** @throws TtsVarError CONFIG_INVALID for a task that the model cannot do */
  start(task: Task, ids: readonly CandidateId[]): Promise<Session>;
  /** Tokens of an image of the generator's size by stage: what `Task.keep` takes. Capability `encode`. */
  encode?(image: RgbImage): Promise<Tokens[]>;
  /** The same weights under other settings; disposing of it leaves this one open. Absent: open it again. */
  withSettings?(settings: unknown): Promise<Generator>;
}

/** What was asked for of the picture's form; everything may be left open. */
export interface ShapeWish {
  /** Id of a shape of the model. */
  readonly id?: string | undefined;
  /** Width to height, as "4:3" or "1.333". */
  readonly ratio?: string | undefined;
  /** Megapixels as "0.25M", or pixels as "1152x864" (width x height). */
  readonly size?: string | undefined;
}

/** What a generator is described and opened for. */
export interface GeneratorRequest {
  readonly shape?: ShapeWish;
  /** As configured (`model.options`); the family checks them and fills in its defaults. */
  readonly settings?: unknown;
}

/** How a generator computes. Nothing of it changes a result. */
export interface GeneratorHost {
  /** Threads of the inference runtime. */
  readonly threads?: number;
  /** Compute on the calling thread instead of a worker (tests, and processes that do nothing else). */
  readonly inProcess?: boolean;
  /** Generators with different numbers compute side by side, in threads of their own; default: 0. */
  readonly lane?: number;
  /** Candidates that a stage computes at once, by stage; a larger population is split. */
  readonly rowsAtOnce?: readonly number[];
}

/** A system: `describe` needs no weights, `open` loads them. */
export interface GeneratorDefinition {
  /** @throws TtsVarError CONFIG_INVALID for settings or a shape that the model does not have */
  describe(request?: GeneratorRequest): Promise<GeneratorTraits>;
  open(request?: GeneratorRequest, host?: GeneratorHost): Promise<Generator>;
}

/** Typing aid for generator files: `export default defineGenerator({ describe, open })`. */
export function defineGenerator(definition: GeneratorDefinition): GeneratorDefinition {
  return definition;
}

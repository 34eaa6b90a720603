import type { CandidateId } from "./ids.ts";
import type { RgbImage } from "./image.ts";
import type { Scale } from "./schedule.ts";

/** Latent grid at which a code is decoded. Smaller than the last scale's grid means a cheaper, smaller preview. */
export interface LatentSize {
  readonly h: number;
  readonly w: number;
}

/** Settings of the proposal. Lists hold one value per scale. */
export interface SamplingSettings {
  /** Classifier-free guidance weight by scale; 1 means the conditional branch alone. */
  readonly guidance: readonly number[];
  /** Temperature of the token distribution by scale, > 0. */
  readonly temperature: readonly number[];
  /** Nucleus threshold in (0, 1]; Infinity uses 0.97. */
  readonly topP: number;
  /** Only the `topK` likeliest values of a token are drawn from; of a bit, 1 takes the likelier one. Absent: all. */
  readonly topK?: number;
  /**
   * First scale from which the unconditional branch is dropped altogether (guidance 1 for the whole suffix, half the
   * cost). `scales.length` keeps guidance everywhere.
   */
  readonly guidanceUntil: number;
}

export interface SampleRequest {
  readonly prompt: string;
  readonly negativePrompt?: string;
  /** Seed of the run; with the prompt and a candidate's id it determines every draw of that candidate. */
  readonly seed: number | string;
  readonly ids: readonly CandidateId[];
  readonly settings: SamplingSettings;
  /**
   * Tokens to use instead of drawn ones, `[scale][position]` bits in row-major (y, x, channel) order. Fewer scales than
   * the model has leave the later ones free: variations of an image.
   */
  readonly forcedBits?: readonly Uint8Array[];
}

/** Signals of one stage that cost nothing beyond the logits; one value per candidate. */
export interface StageSignals {
  /** Log-probability of the drawn tokens under the sampled (guided, tempered) distribution, summed over the stage. */
  readonly logProb: Float64Array;
  /** Mean entropy per token bit of that distribution, in nats. */
  readonly entropy: Float64Array;
  /** Mean absolute difference of conditional and unconditional logits (how much the prompt decides); 0 unguided. */
  readonly guidanceGap: Float64Array;
  /** Hash of the drawn tokens, for traces and determinism checks. */
  readonly tokenHash: readonly string[];
}

/** A kept row and the id under which it continues. */
export interface Pick {
  readonly parent: number;
  readonly id: CandidateId;
}

/**
 * FLOPs of a generator, known from its manifest alone, before any model loads. All figures are for one candidate and both
 * guidance branches, and do not depend on the prompt (a nominal prompt length is assumed).
 */
export interface GeneratorCost {
  /** Text encoder and prompt-dependent conditioning; once per prompt. */
  readonly text: number;
  /** Transformer FLOPs of a stage, context included. */
  stage(index: number, guided: boolean): number;
  /** The first `sharedStages` stages have no randomness before them: they run once, whatever the width. */
  readonly sharedStages: number;
  decode(latent: LatentSize): number;
}

/**
 * Memory of a generator in bytes, estimated from its manifest alone, so that a plan can say what a search needs before
 * anything is loaded.
 */
export interface GeneratorMemory {
  /** Weights as they lie in memory, and what the runtime keeps beside them. */
  readonly weights: number;
  /** Text and conditioning of a prompt: its result, and the work that makes it. */
  readonly text: number;
  /** What a stage of so many candidates leaves behind for later stages; nothing after the last one. */
  kept(stage: number, rows: number, guided: boolean): number;
  /** Beyond all that is kept, while a stage is computed for so many candidates at once. */
  working(stage: number, rows: number, guided: boolean): number;
  /** While so many codes are decoded at a size; implementations work through them in blocks of their own. */
  decode(latent: LatentSize, count: number): number;
}

/**
 * A generator that produces images in stages. Implementations hold weights; all per-prompt state lives in sessions.
 * Draws are keyed by (seed, prompt, candidate id, scale, position): they never depend on the batch.
 */
export interface Generator extends AsyncDisposable {
  readonly name: string;
  /** Changes whenever the same request could give other pixels (weights hash). */
  readonly version: string;
  readonly scales: readonly Scale[];
  /** Grid of the full-resolution latent and pixels per latent cell. */
  readonly latent: LatentSize;
  readonly pixelsPerLatent: number;
  readonly cost: GeneratorCost;
  /** Absent: somewhere else, or too small to matter. */
  readonly memory?: GeneratorMemory;
  readonly defaults: SamplingSettings;
  /** Name of the aspect ratio and size among those that the model has. */
  readonly schedule?: string;
  /** Bits of a token, for models whose tokens are bits. */
  readonly bitsPerToken?: number;
  start(request: SampleRequest): Promise<Session>;
  /** Bits of an image of the generator's size, `[scale][position]`: what `forcedBits` takes. Absent without an encoder. */
  encode?(image: RgbImage): Promise<Uint8Array[]>;
}

/** A population of candidates of one prompt on its way through the stages. */
export interface Session {
  readonly ids: readonly CandidateId[];
  /** Number of stages done; `scales.length` when finished. */
  readonly stage: number;
  /** Runs the next stage for all candidates. */
  step(): Promise<StageSignals>;
  /** Keeps, reorders or duplicates candidates in place. Lazy: caches are shared, nothing is copied. */
  select(picks: readonly Pick[]): Promise<void>;
  /** Like `select`, but as a new session; this one stays usable. */
  branch(picks: readonly Pick[]): Promise<Session>;
  /** Decodes the accumulated code of the given rows, at full size or at a reduced latent size. */
  decode(rows: readonly number[], latent?: LatentSize): Promise<RgbImage[]>;
  /** Drawn bits of a row for the stages done so far (`[scale][y, x, channel]`). */
  bits(row: number): Promise<Uint8Array[]>;
  release(): void;
}

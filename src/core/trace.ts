import type { Spending } from "./budget.ts";
import type { LatentSize } from "./generator.ts";
import type { CandidateId } from "./ids.ts";
import type { Why } from "./strategy.ts";

/**
 * One line of `trace.jsonl`. Equal configuration, seed and models give byte-identical traces; anything that depends on
 * time or machine goes to `timing.jsonl`. Scores are raw (as the reward gave them), feature vectors base64 float32, tokens
 * base64 bits.
 */
export type TraceEvent =
  | {
      readonly type: "begin";
      readonly schemaVersion: 1;
      readonly prompt: string;
      readonly seed: number | string;
      readonly strategy: string;
      readonly options: unknown;
      readonly sampler: string;
      readonly reward: string;
      readonly units: number;
      readonly limit: number;
    }
  | { readonly type: "start"; readonly population: number; readonly ids: readonly CandidateId[] }
  | {
      readonly type: "step";
      readonly population: number;
      readonly scale: number;
      readonly ids: readonly CandidateId[];
      readonly tokens: readonly string[];
      readonly logProb: readonly number[];
      readonly entropy: readonly number[];
      readonly guidanceGap: readonly number[];
    }
  | {
      readonly type: "scores";
      readonly population: number;
      readonly scale: number;
      readonly reward: string;
      readonly latent: LatentSize | null;
      readonly ids: readonly CandidateId[];
      readonly raw: readonly number[];
    }
  | {
      readonly type: "features";
      readonly population: number;
      readonly scale: number;
      readonly latent: LatentSize | null;
      readonly ids: readonly CandidateId[];
      readonly dims: readonly number[];
      readonly base64: string;
    }
  | {
      readonly type: "tokens";
      readonly population: number;
      readonly scale: number;
      readonly ids: readonly CandidateId[];
      readonly dims: readonly number[];
      readonly base64: string;
    }
  | {
      readonly type: "select" | "branch";
      readonly population: number;
      readonly from: number;
      readonly picks: readonly number[];
      readonly ids: readonly CandidateId[];
      readonly why: Why;
    }
  | { readonly type: "release"; readonly population: number }
  | {
      readonly type: "end";
      readonly best: CandidateId;
      readonly finalists: readonly CandidateId[];
      readonly spending: Spending;
    };

/** Receives events in order. Implementations must not reorder or drop. */
export interface TraceSink {
  event(event: TraceEvent): void;
}

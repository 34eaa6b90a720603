import type { Atom } from "./benchmark.ts";
import type { Spending } from "./budget.ts";
import type { View } from "./generator.ts";
import type { CandidateId } from "./ids.ts";
import type { SearchAction, SIGHT_OF, Sight, Why } from "./program.ts";
import type { TaskRecord } from "./task.ts";
import type { TokenKind } from "./tokens.ts";

/** Verbs that show one kind of sight. */
export type VerbOf<Kind extends Sight> = {
  [Verb in SearchAction["type"]]: (typeof SIGHT_OF)[Verb] extends Kind ? Verb : never;
}[SearchAction["type"]];

/**
 * One line of `trace.jsonl`. Equal configuration, seed and models give byte-identical traces; anything that depends on
 * time or machine goes to `timing.jsonl`. Scores are raw (as the reward gave them), feature vectors base64 float32, tokens
 * base64 of their packed elements (`bytesOfTokens`).
 */
export type TraceEvent =
  | {
      readonly type: "begin";
      readonly schemaVersion: 2;
      readonly task: TaskRecord;
      readonly strategy: { readonly name: string; readonly options: unknown };
      readonly generator: {
        readonly name: string;
        readonly version: string;
        readonly shape: string;
        readonly settings: Readonly<Record<string, unknown>>;
      };
      readonly reward: string;
      readonly units: number;
      readonly limit: number;
    }
  | { readonly type: "start"; readonly population: number; readonly ids: readonly CandidateId[] }
  | {
      /** With what else the action asked for, such as a refinement's `share`. */
      readonly type: VerbOf<"signals">;
      readonly population: number;
      readonly stage: number;
      readonly ids: readonly CandidateId[];
      readonly tokens: readonly string[];
      readonly signals: Readonly<Record<string, readonly number[]>>;
    }
  | {
      /** Where nothing is seen; with what the action asked for, such as the stages `to` which it goes back. */
      readonly type: Exclude<VerbOf<"nothing">, "start" | "select" | "branch" | "release">;
      readonly population: number;
      readonly stage: number;
      readonly ids: readonly CandidateId[];
    }
  | {
      readonly type: "scores";
      readonly population: number;
      readonly stage: number;
      readonly reward: string;
      readonly view: View;
      readonly ids: readonly CandidateId[];
      readonly raw: readonly number[];
    }
  | {
      /** What scores are made of, where a strategy asked. */
      readonly type: "atoms";
      readonly population: number;
      readonly stage: number;
      readonly reward: string;
      readonly view: View;
      readonly ids: readonly CandidateId[];
      /** By candidate. */
      readonly atoms: readonly (readonly Atom[])[];
    }
  | {
      readonly type: "features";
      readonly population: number;
      readonly stage: number;
      readonly view: View;
      readonly ids: readonly CandidateId[];
      readonly dims: readonly number[];
      readonly base64: string;
    }
  | {
      readonly type: "tokens";
      readonly population: number;
      readonly stage: number;
      readonly ids: readonly CandidateId[];
      readonly kind: TokenKind;
      readonly dtype: string;
      /** Tokens of each candidate. */
      readonly count: number;
      /** By candidate. */
      readonly base64: readonly string[];
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

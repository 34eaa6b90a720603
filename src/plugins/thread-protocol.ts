import { type ErrorCode, TtsVarError } from "../core/errors.ts";
import type { RewardContext, RewardItem, RewardTraits } from "../core/reward.ts";
import type { PluginProvenance } from "./load-module.ts";

/** What a plug-in's thread is started with. */
export interface ThreadSetup {
  readonly spec: string;
  readonly options: unknown;
  readonly baseDir: string;
  readonly allowDownload: boolean;
}

export type ToThread =
  | {
      readonly type: "score";
      readonly id: number;
      readonly batch: readonly RewardItem[];
      readonly stage: RewardContext["stage"];
      readonly seed: RewardContext["seed"];
    }
  | { readonly type: "dispose" };

export type FromThread =
  | {
      readonly type: "ready";
      readonly traits: RewardTraits & { readonly maxBatch?: number; readonly timeoutMs?: number };
      readonly provenance: PluginProvenance;
    }
  | { readonly type: "refused"; readonly error: WireError }
  | {
      readonly type: "scored";
      readonly id: number;
      readonly scores: readonly (number | null)[];
      readonly details?: readonly (Readonly<Record<string, unknown>> | undefined)[];
    }
  | { readonly type: "failed"; readonly id: number; readonly error: WireError }
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn"; readonly message: string };

/** An error on its way between threads. */
export interface WireError {
  readonly message: string;
  readonly code: ErrorCode | null;
  readonly details: Readonly<Record<string, unknown>>;
  readonly stack: string;
}

export function wireError(error: unknown): WireError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const coded = error instanceof TtsVarError ? error : null;
  return { message, code: coded?.code ?? null, details: coded?.details ?? {}, stack: stack ?? "" };
}

export function errorOf(wire: WireError): Error {
  const error = wire.code
    ? new TtsVarError(wire.code, wire.message, { details: wire.details })
    : new Error(wire.message);
  error.stack = wire.stack;
  return error;
}

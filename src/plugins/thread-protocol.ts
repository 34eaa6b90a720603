import type { WireError } from "../core/wire-error.ts";
import type { PluginProvenance } from "./load-module.ts";

/** Kinds of plug-ins that run in threads of their own. */
export type ThreadKind = "reward" | "features";

/** What a plug-in's thread is started with. */
export interface ThreadSetup {
  readonly kind: ThreadKind;
  readonly spec: string;
  readonly options: unknown;
  readonly baseDir: string;
  readonly allowDownload: boolean;
}

export type ToThread =
  | { readonly type: "call"; readonly id: number; readonly input: unknown }
  | { readonly type: "dispose" };

export type FromThread =
  | { readonly type: "ready"; readonly traits: unknown; readonly provenance: PluginProvenance }
  | { readonly type: "refused"; readonly error: WireError }
  | { readonly type: "answered"; readonly id: number; readonly output: unknown }
  | { readonly type: "failed"; readonly id: number; readonly error: WireError }
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn"; readonly message: string };

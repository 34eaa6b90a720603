/** What the studio's server and its page say to each other, as JSON. */

/** A setting of the form, as the configuration's schema describes it. */
export interface Field {
  /** Path in the configuration: `task.prompt`. */
  readonly path: string;
  readonly kind: "text" | "number" | "whole" | "choice";
  readonly help: string;
  readonly value: string | number | null;
  readonly least?: number;
  readonly most?: number;
  readonly choices?: readonly { readonly name: string; readonly summary: string }[];
}

/** Values by path; those that are absent keep their default. */
export type Settings = Readonly<Record<string, string | number>>;

/** Tokens of a candidate of another run to go on from: its first stages. */
export interface Origin {
  readonly run: string;
  readonly candidate: string;
  /** Stages that are kept, from 1. */
  readonly stages: number;
}

/** A candidate that shall not go on after a stage. */
export interface Rejection {
  readonly candidate: string;
  readonly stage: number;
}

/** A part of a picture, its sides in whole percent of it. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A finished picture of another run, a region of which is drawn anew. */
export interface Redrawing {
  readonly run: string;
  readonly candidate: string;
  readonly region: Region;
}

/** What the page asks for. */
export interface Request {
  readonly settings: Settings;
  readonly from?: Origin | undefined;
  readonly reject?: readonly Rejection[] | undefined;
  readonly redraw?: Redrawing | undefined;
}

/** What a search would cost, before it starts. */
export interface PlanAnswer {
  /** Units, and FLOPs of one. */
  readonly total: number;
  readonly units: number;
  readonly unit: number;
  /** FLOPs. */
  readonly byKind: Readonly<Record<string, number>>;
  readonly rows: readonly {
    readonly label: string;
    readonly widthIn: number;
    readonly widthOut: number;
    readonly decodes: number;
    readonly scores: number;
    readonly features: number;
    /** FLOPs. */
    readonly cost: number;
  }[];
  readonly image: { readonly width: number; readonly height: number; readonly frames: number };
  /** Bytes; null: too little to matter. */
  readonly memory: number | null;
  readonly warnings: readonly string[];
}

export type RunState = "queued" | "running" | "done" | "aborted" | "failed" | "interrupted";

/** A run in a list. */
export interface RunSummary {
  readonly id: string;
  readonly state: RunState;
  readonly prompt: string;
  readonly seed: number | string;
  readonly strategy: string;
  readonly model: string;
  readonly reward: string;
  readonly budget: number;
  /** ISO 8601; null while it waits. */
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  /** Of the answer; null before there is one. */
  readonly score: number | null;
  /** Units. */
  readonly spent: number;
}

/** What became of a candidate after a stage. `alive`: nothing has been decided yet. */
export type Fate = "alive" | "kept" | "dropped" | "best";

/** A candidate after one stage. */
export interface CandidateView {
  readonly id: string;
  readonly parent: string | null;
  /** By the reward that is searched for, as the reward gave it; null: not scored here. */
  readonly score: number | null;
  /** Number of its cluster and its weight in the choice, where the strategy told of them. */
  readonly cluster: number | null;
  readonly weight: number | null;
  readonly fate: Fate;
  /** Width of the picture that was seen of it, in pixels; 0 for one in the run's folder; null: nobody looked. */
  readonly picture: number | null;
}

export interface StageView {
  readonly stage: number;
  readonly label: string;
  /** Candidates that the stage was computed for, copies beside their parents. */
  readonly candidates: readonly CandidateView[];
  /** Further ones that are not listed. */
  readonly hidden: number;
}

/** A run whole. */
export interface RunView extends RunSummary {
  /** Settings that the form can take over. */
  readonly settings: Settings;
  readonly from: Origin | null;
  readonly reject: readonly Rejection[];
  readonly redraw: Redrawing | null;
  /** Whether its model can draw a region of a picture anew. */
  readonly redraws: boolean;
  readonly stages: readonly StageView[];
  readonly best: string | null;
  /** What it is doing, for people. */
  readonly status: string;
  readonly warnings: readonly string[];
  readonly error: string | null;
  /** Files of its folder. */
  readonly files: readonly string[];
}

/** What an event of the stream tells. */
export interface Pulse {
  /** Changes when a run was added, began or ended. */
  readonly changes: number;
  /** Runs that wait, the next one first, and the one that runs. */
  readonly waiting: readonly RunSummary[];
  readonly running: RunView | null;
}

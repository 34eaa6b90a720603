import { type PlannedSearch, planConfig } from "../assemble/open-search.ts";
import type { ResolvedConfig } from "../config/resolve.ts";
import type { GeneratorTraits } from "../core/generator.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { ProgressEvent } from "../engine/observer.ts";
import { Interrupted } from "../run/interrupt.ts";
import type { Progress } from "../run/progress.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { type Onlooker, runPlanned } from "../run/run-planned.ts";
import { watchSessions } from "../run/watch-sessions.ts";
import type { Origin, Redrawing, RunState, RunSummary, RunView, Settings } from "./api-types.ts";
import { Keepsakes } from "./keepsakes.ts";
import { SearchStory } from "./search-story.ts";

/** Searches that a studio was asked for have a folder name of their own from the beginning. */
export interface WantedRun {
  readonly id: string;
  readonly resolved: ResolvedConfig;
  readonly settings: Settings;
  readonly from: Origin | null;
  readonly redraw: Redrawing | null;
}

/** A run of this studio from the moment it was asked for. */
export class ActiveRun {
  readonly wanted: WantedRun;
  readonly #story: SearchStory;
  readonly #keepsakes = new Keepsakes();
  /** What it takes to write down a candidate while the search runs. */
  #open: { readonly folder: RunFolder; readonly traits: GeneratorTraits } | null = null;
  readonly #controller = new AbortController();
  readonly #warnings: string[] = [];
  #labels: readonly { readonly label: string }[] = [];
  #redraws = false;
  #state: RunState = "queued";
  #status = "waiting";
  #error: string | null = null;
  #startedAt: string | null = null;
  #endedAt: string | null = null;
  #score: number | null = null;
  #spent = 0;

  constructor(wanted: WantedRun) {
    this.wanted = wanted;
    this.#story = new SearchStory(wanted.resolved.config.reward.name);
  }

  get id(): string {
    return this.wanted.id;
  }

  get state(): RunState {
    return this.#state;
  }

  /** Stops the search, or keeps it from beginning. */
  cancel(): void {
    if (this.#state === "queued") this.#end("aborted", "cancelled before it began");
    this.#controller.abort(new Interrupted("SIGINT", "cancelled in the studio"));
  }

  /** Searches; settles when the folder has its final status, and never rejects. */
  async run(host: Pick<PluginHost, "baseDir" | "allowDownload">): Promise<void> {
    const { resolved } = this.wanted;
    this.#state = "running";
    this.#startedAt = new Date().toISOString();
    try {
      const log: PluginHost["log"] = (level, message) => level === "warn" && this.#warnings.push(message);
      const planned = await planConfig(resolved.config, { ...host, log });
      this.#labels = planned.generator.stages;
      this.#redraws = planned.generator.can.includes("mask");
      const onlooker = this.#onlooker(planned);
      const { signal } = this.#controller;
      const onProgress = ({ spent }: ProgressEvent): void => {
        this.#spent = spent / planned.plan.unit;
      };
      const options = { onlooker, onProgress };
      const summary = await runPlanned(planned, resolved, signal, this.#progress(), options);
      this.#score = summary.best.score;
      this.#spent = summary.budget.spent;
      this.#end("done", null);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#end(error instanceof Interrupted ? "aborted" : "failed", message);
    }
  }

  picture(stage: number, candidate: string): Promise<Uint8Array | null> {
    return this.#keepsakes.png(stage, candidate);
  }

  /** Writes the tokens of a candidate down while the search runs, so that another can go on from it. */
  async keep(candidate: string): Promise<void> {
    if (this.#open) await this.#keepsakes.writeTokens(this.#open.folder, this.#open.traits, candidate);
  }

  summary(): RunSummary {
    const { task, strategy, model, reward, budget } = this.wanted.resolved.config;
    return {
      id: this.id,
      state: this.#state,
      prompt: task.prompt,
      seed: task.seed,
      strategy: strategy.name,
      model: model.name,
      reward: reward.name,
      budget,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt,
      score: this.#score,
      spent: this.#spent,
    };
  }

  view(): RunView {
    return {
      ...this.summary(),
      settings: this.wanted.settings,
      from: this.wanted.from,
      reject: this.wanted.resolved.config.reject ?? [],
      redraw: this.wanted.redraw,
      redraws: this.#redraws,
      stages: this.#story.view(this.#labels),
      best: this.#story.best,
      status: this.#status,
      warnings: this.#warnings,
      error: this.#error,
      files: [],
    };
  }

  #end(state: RunState, error: string | null): void {
    this.#state = state;
    this.#error = error;
    this.#status = "";
    this.#endedAt = new Date().toISOString();
  }

  #onlooker({ generator: traits }: PlannedSearch): Onlooker {
    return {
      begun: (folder) => {
        this.#open = { folder, traits };
      },
      ending: async () => {
        const open = this.#open;
        this.#open = null;
        if (open) await this.#keepsakes.write(open.folder, traits);
      },
      event: (event) => this.#story.tell(event),
      watch: (generator) =>
        watchSessions(generator, {
          stepped: (session) => this.#keepsakes.stepped(session),
          viewed: (session, rows, pictures) => {
            for (const { id, width } of this.#keepsakes.viewed(session, rows, pictures)) {
              this.#story.seen(session.stage - 1, id, width);
            }
          },
        }),
    };
  }

  #progress(): Progress {
    const status = (text: string): void => {
      this.#status = text;
    };
    return { status, line: status, warn: (text) => this.#warnings.push(text), end() {} };
  }
}

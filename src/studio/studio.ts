import { existsSync } from "node:fs";
import { join } from "node:path";
import { planConfig } from "../assemble/open-search.ts";
import { promptChecker, promptWarnings } from "../assemble/prompt-check.ts";
import type { ConfigSources, ResolvedConfig } from "../config/resolve.ts";
import { TtsVarError } from "../core/errors.ts";
import { probeWritable } from "../io/atomic.ts";
import { previewName } from "../run/run-files.ts";
import { runName } from "../run/run-name.ts";
import { ActiveRun } from "./active-run.ts";
import type { PlanAnswer, Pulse, Request, RunSummary, RunView } from "./api-types.ts";
import { Form } from "./form.ts";
import { writeMask } from "./masks.ts";
import { RunQueue } from "./queue.ts";
import { RunsFolder } from "./runs-folder.ts";

/** Runs of this studio that stay in memory after their end, with their pictures. */
const REMEMBERED = 8;

export interface StudioSettings {
  /** Folder of runs. */
  readonly runs: string;
  /** What searches are configured with unless the page says otherwise. */
  readonly base: ConfigSources;
}

/** Everything that the studio can do, without HTTP. */
export class Studio {
  readonly form: Form;
  readonly folder: RunsFolder;
  readonly #queue: RunQueue;
  /** Runs that were asked for since the studio began, the oldest first. */
  readonly #runs = new Map<string, ActiveRun>();

  private constructor(form: Form, folder: RunsFolder) {
    this.form = form;
    this.folder = folder;
    this.#queue = new RunQueue(async (run) => {
      const { allowDownload } = run.wanted.resolved.config;
      await run.run({ baseDir: process.cwd(), allowDownload });
      this.#forget();
    });
  }

  /** @throws TtsVarError CONFIG_INVALID, OUTPUT_UNWRITABLE */
  static async open({ runs, base }: StudioSettings): Promise<Studio> {
    const form = new Form(base);
    await probeWritable(runs);
    return new Studio(form, new RunsFolder(runs, form));
  }

  /** What a search would cost. @throws TtsVarError as planning does */
  async plan(request: Request): Promise<PlanAnswer> {
    const { config } = await this.#resolve(request);
    const warnings: string[] = [];
    const log = (level: string, message: string) => level === "warn" && warnings.push(message);
    const host = { baseDir: process.cwd(), allowDownload: config.allowDownload, log };
    await using planned = await planConfig(config, host);
    const { plan, generator, found } = planned;
    const check = found.dir === null ? null : await promptChecker(found.dir);
    const { width, height, frames } = generator.shape;
    return {
      total: plan.total,
      units: plan.units,
      unit: plan.unit,
      byKind: plan.spending.byKind,
      rows: plan.rows.map(({ flops, decisions: _, stage: __, ...row }) => ({
        ...row,
        cost: Object.values(flops).reduce((sum, value) => sum + value, 0),
      })),
      image: { width, height, frames },
      memory: plan.memory?.peak ?? null,
      warnings: [...warnings, ...(check ? promptWarnings(check(config.task.prompt)) : [])],
    };
  }

  /** Puts a search into the queue. @throws TtsVarError as planning does */
  async add(request: Request): Promise<RunSummary> {
    await this.plan(request);
    const { config, hash } = await this.#resolve(request);
    const id = this.#newName(runName(new Date(), config.task.prompt, hash));
    const resolved = await this.#resolve(request, { out: join(this.folder.dir, id) });
    const { settings, from = null, redraw = null } = request;
    const run = new ActiveRun({ id, resolved, settings, from, redraw });
    this.#runs.set(id, run);
    this.#queue.add(run);
    return run.summary();
  }

  cancel(id: string): void {
    if (!this.#queue.cancel(id)) throw new TtsVarError("USAGE", `${id} neither waits nor runs`);
  }

  /** Everything that was asked for or lies in the folder, the newest first. */
  async list(): Promise<RunSummary[]> {
    const waiting = this.#queue.waiting.map((run) => run.summary());
    const recorded = await this.folder.list();
    const { running } = this.#queue;
    return [
      ...waiting.reverse(),
      ...recorded.map((run) => (run.id === running?.id ? running.summary() : run)),
    ];
  }

  /** @throws TtsVarError USAGE when there is no such run */
  async view(id: string): Promise<RunView> {
    const run = this.#runs.get(id);
    if (!run) return this.folder.view(id);
    const { files } = await this.folder.record(id).catch(() => ({ files: [] }));
    return { ...run.view(), files: run.state === "running" ? [] : files };
  }

  /** Picture of a candidate after a stage as PNG. @throws TtsVarError USAGE when there is none */
  async picture(id: string, stage: number, candidate: string): Promise<Uint8Array> {
    const png = await this.#runs.get(id)?.picture(stage, candidate);
    return png ?? this.folder.file(id, previewName(stage, candidate));
  }

  pulse(): Pulse {
    const { changes, waiting, running } = this.#queue;
    return { changes, waiting: waiting.map((run) => run.summary()), running: running?.view() ?? null };
  }

  close(): Promise<void> {
    return this.#queue.close();
  }

  async #resolve(
    { settings, from, redraw, reject = [] }: Request,
    own: Readonly<Record<string, unknown>> = {},
  ): Promise<ResolvedConfig> {
    const decided: Record<string, unknown> = { ...own, ...(reject.length > 0 ? { reject } : {}) };
    if (redraw) {
      const source = await this.folder.path(redraw.run, `images/${redraw.candidate}.png`);
      decided["task.source"] = source;
      decided["task.mask"] = await writeMask(this.folder.dir, source, redraw.region);
    }
    if (!from) return this.form.resolve(settings, decided);
    await this.#runs.get(from.run)?.keep(from.candidate);
    const keep = { "task.keep": await this.folder.tokens(from), "task.keepUntil": from.stages };
    return this.form.resolve(settings, { ...keep, ...decided });
  }

  #newName(name: string): string {
    for (let attempt = 1; ; attempt++) {
      const id = attempt === 1 ? name : `${name}-${attempt}`;
      if (!this.#runs.has(id) && !existsSync(join(this.folder.dir, id))) return id;
    }
  }

  #forget(): void {
    const ended = [...this.#runs.values()].filter(({ state }) => state !== "queued" && state !== "running");
    for (const { id } of ended.slice(0, -REMEMBERED)) this.#runs.delete(id);
  }
}

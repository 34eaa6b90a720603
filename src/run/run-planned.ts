import { setTimeout as pause } from "node:timers/promises";
import { type OpenSearch, openSearch, type PlannedSearch } from "../assemble/open-search.ts";
import type { ResolvedConfig } from "../config/resolve.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator } from "../core/generator.ts";
import type { RgbImage } from "../core/image.ts";
import type { TraceEvent } from "../core/trace.ts";
import type { ProgressEvent, SearchTimer } from "../engine/observer.ts";
import type { SearchResult } from "../engine/run-search.ts";
import { probeWritable } from "../io/atomic.ts";
import { stopwatch } from "./clock.ts";
import { orAborted } from "./interrupt.ts";
import type { Progress } from "./progress.ts";
import { recordPreviews } from "./record-previews.ts";
import { RunFolder } from "./run-folder.ts";
import { makeNewFolder, runName } from "./run-name.ts";
import type { SearchSummary } from "./summary.ts";
import { modelVersions, versions } from "./versions.ts";
import { hasPreviews } from "./write-report.ts";
import { prepareWriting, writeSearchResults } from "./write-results.ts";

/** How long an interrupted search may take to stop by itself, so that no file is left half-written. */
const ABORT_MS = 200;

/** How long it takes until the models load in threads of their own. */
const THREADS_MS = 150;

/** Somebody who looks on while a search runs. */
export interface Onlooker {
  /** The run has its folder; until `ending` has settled, further files may be put there. */
  begun(folder: RunFolder): void;
  /** Every event of the trace, in order. */
  event(event: TraceEvent): void;
  /** Looks on at the generator's work. */
  watch(generator: Generator): Generator;
  /** The search is over, however it ended. */
  ending(): Promise<void>;
}

export interface RunOptions {
  /** Replace files of others in the run folder. */
  readonly force?: boolean;
  /** Told after every action. */
  readonly onProgress?: (event: ProgressEvent) => void;
  readonly onlooker?: Onlooker;
}

/** What a run found, and where it lies. */
export interface FinishedRun {
  readonly result: SearchResult;
  readonly summary: SearchSummary;
}

/**
 * Runs a planned search into a run folder. Whatever happens, the folder ends with a status: done, failed (with the
 * error) or aborted.
 *
 * @throws Interrupted, TtsVarError, the signal's reason
 */
export async function runPlanned(
  planned: PlannedSearch,
  resolved: ResolvedConfig,
  signal: AbortSignal,
  progress: Progress,
  options: RunOptions = {},
): Promise<SearchSummary> {
  const { summary } = await inFolder(planned, resolved, signal, progress, options, async (folder) => {
    progress.status("loading the models");
    const loaded = stopwatch();
    const opening = openSearch(planned);
    // Threads that load models come first: this one would keep them waiting.
    await Promise.race([opening, pause(THREADS_MS)]);
    prepareWriting(planned.config);
    const open = await opening;
    try {
      folder.timing({ kind: "load", ms: loaded() });
      return await search(open, planned, folder, signal, progress, options);
    } finally {
      await open[Symbol.asyncDispose]();
    }
  });
  return summary;
}

/** Like `runPlanned`, with models that are open and stay so. */
export function runOpened(
  open: OpenSearch,
  planned: PlannedSearch,
  resolved: ResolvedConfig,
  signal: AbortSignal,
  progress: Progress,
  options: RunOptions = {},
): Promise<FinishedRun> {
  return inFolder(planned, resolved, signal, progress, options, (folder) =>
    search(open, planned, folder, signal, progress, options),
  );
}

async function inFolder<T>(
  planned: PlannedSearch,
  resolved: ResolvedConfig,
  signal: AbortSignal,
  progress: Progress,
  options: RunOptions,
  run: (folder: RunFolder) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const folder = await beginFolder(planned, resolved, options);
  const { onlooker } = options;
  onlooker?.begun(folder);
  const work = run(folder);
  try {
    const found = await orAborted(work, signal);
    await onlooker?.ending();
    await folder.finish("done");
    return found;
  } catch (error) {
    const aborted = signal.aborted;
    if (aborted) await Promise.race([work.catch(() => undefined), pause(ABORT_MS)]);
    const message = error instanceof Error ? error.message : String(error);
    const code = aborted ? "INTERRUPTED" : error instanceof TtsVarError ? error.code : "INTERNAL";
    await onlooker?.ending().catch(() => undefined);
    // A full disk may refuse this too; the first error is the one to report.
    await folder.finish(aborted ? "aborted" : "failed", { code, message }).catch(() => undefined);
    throw error;
  } finally {
    progress.end();
  }
}

async function beginFolder(
  { config, task }: PlannedSearch,
  resolved: ResolvedConfig,
  { force = false }: RunOptions,
): Promise<RunFolder> {
  const parent = "results/runs";
  await probeWritable(config.out ?? parent);
  const dir = config.out ?? (await makeNewFolder(parent, runName(new Date(), task.prompt, resolved.hash)));
  const start = {
    command: "search",
    config: { ...config },
    origins: resolved.origins,
    configHash: resolved.hash,
    seed: config.task.seed,
    versions: versions(),
    models: {},
  };
  const inputs = [config.task.keep, config.task.source, config.task.mask].filter(
    (path) => path !== undefined,
  );
  return RunFolder.create(dir, start, { force, inputs });
}

async function search(
  open: OpenSearch,
  planned: PlannedSearch,
  folder: RunFolder,
  signal: AbortSignal,
  progress: Progress,
  { onProgress, onlooker }: RunOptions,
): Promise<FinishedRun> {
  const { config, plan } = planned;
  const { generator, reward, features } = open;
  const images = new Map<string, RgbImage>();
  const events: TraceEvent[] = [];
  const shown = hasPreviews(config);
  const describeModels = () =>
    folder.describeModels(modelVersions(generator.traits, reward, features, planned.versions));
  describeModels();
  const started = stopwatch();
  const result = await open.run(planned.task, {
    units: config.budget,
    watch: (plain) =>
      recordPreviews(onlooker?.watch(plain) ?? plain, images, { full: config.sheet === "full" }),
    trace: {
      event(event) {
        folder.trace.event(event);
        onlooker?.event(event);
        if (shown) events.push(event);
      },
    },
    timing: timerInto(folder),
    signal,
    onProgress(event) {
      progress.status(describeStep(event, plan.unit));
      onProgress?.(event);
    },
    log: (level, message) => (level === "warn" ? progress.warn(message) : progress.status(message)),
  });
  // Features may have been opened only when the search asked for them.
  describeModels();
  folder.timing({ kind: "search", ms: started() });
  signal.throwIfAborted();
  progress.status("writing the results");
  return { result, summary: await writeSearchResults(folder, planned, result, { events, images }) };
}

function describeStep({ action, stage, stages, width, spent, limit }: ProgressEvent, unit: number): string {
  const doing = action === "score" ? "scoring" : action === "features" ? "comparing" : "drawing";
  return `${doing}: stage ${stage}/${stages}, ${width} candidates, ${(spent / unit).toFixed(2)} of ${(limit / unit).toFixed(0)} units`;
}

function timerInto(folder: RunFolder): SearchTimer {
  return {
    begin(kind, stage, count) {
      const elapsed = stopwatch();
      return () => folder.timing({ kind, stage, count, ms: elapsed() });
    },
  };
}

import type { SearchRecipe } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator } from "../core/generator.ts";
import type { Reward } from "../core/reward.ts";
import type { Task } from "../core/task.ts";
import type { FeatureSource } from "../engine/feature-source.ts";
import type { SearchResult } from "../engine/run-search.ts";
import { encodePng } from "../io/png.ts";
import type { SampleJob, SampleResult } from "./sample-job.ts";
import { SampleStore, sha256Of } from "./sample-store.ts";

/** The opened models of a configuration, ready to search. */
export interface SearchParts extends AsyncDisposable {
  readonly generator: Generator;
  readonly reward: Reward;
  readonly features: FeatureSource;
  /** The configured task; prompt, seed and metadata are each job's own. */
  readonly task: Task;
  /** Versions of what decides the search besides its models: a strategy's file, a calibration. */
  readonly versions: Readonly<Record<string, string>>;
  run(task: Task, observer: { readonly signal?: AbortSignal }): Promise<SearchResult>;
}

export type OpenParts = (config: SearchRecipe) => Promise<SearchParts>;

/** Versions that decide pixels and scores; equal on all machines of a run. */
export function modelVersions(parts: {
  readonly generator: Pick<Generator, "traits">;
  readonly reward: Pick<Reward, "name" | "version">;
  readonly features: Pick<FeatureSource, "name" | "version"> | null;
  readonly versions: Readonly<Record<string, string>>;
}): Record<string, string> {
  const { generator, reward, features, versions } = parts;
  return {
    [`generator ${generator.traits.name}`]: generator.traits.version,
    [`reward ${reward.name}`]: reward.version,
    ...(features?.version == null ? {} : { [`features ${features.name}`]: features.version }),
    ...versions,
  };
}

/**
 * Runs sample jobs. The models of the last configuration stay open, so that a worker loads them once per run.
 * `folder`: write results there (a folder shared with the coordinator) instead of returning the image.
 */
export class SampleRunner implements AsyncDisposable {
  readonly #open: OpenParts;
  readonly #now: () => number;
  #current: { readonly key: string; readonly parts: Promise<SearchParts> } | null = null;

  /** @param now clock in seconds, for the reported duration only */
  constructor(open: OpenParts, now: () => number) {
    this.#open = open;
    this.#now = now;
  }

  /** Opens the models of a configuration before the first job needs them. */
  async open(setup: Pick<SampleJob, "config" | "configHash">): Promise<SearchParts> {
    if (this.#current?.key !== setup.configHash) {
      await this[Symbol.asyncDispose]();
      this.#current = { key: setup.configHash, parts: this.#open(setup.config) };
    }
    return this.#current!.parts;
  }

  async run(
    job: SampleJob,
    options: { readonly signal?: AbortSignal; readonly folder?: string } = {},
  ): Promise<SampleResult> {
    const parts = await this.open(job);
    expectSameModels(job, modelVersions(parts));
    const start = this.#now();
    const { item } = job;
    const task = { ...parts.task, prompt: item.prompt, seed: job.seed, metadata: { ...item } };
    const result = await parts.run(task, options.signal ? { signal: options.signal } : {});
    const png = await encodePng(result.best.image);
    const { promptIndex, sample, round, seed, configHash } = job;
    const done: SampleResult & { png: string } = {
      record: {
        schemaVersion: 1,
        prompt: item.prompt,
        promptIndex,
        sample,
        round,
        seed,
        configHash,
        best: result.best.id,
        candidates: result.candidates.map(({ id, parent, pixelHash, scores }) => ({
          id,
          parent,
          pixelHash,
          scores,
        })),
        units: result.units,
        limit: result.limit,
        spending: result.spending,
        sha256: sha256Of(png),
      },
      png: png.toString("base64"),
      seconds: this.#now() - start,
    };
    if (options.folder === undefined) return done;
    await new SampleStore(options.folder).save(job, done);
    return { ...done, png: null };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const current = this.#current;
    this.#current = null;
    const parts = await current?.parts.catch(() => null);
    await parts?.[Symbol.asyncDispose]();
  }
}

function expectSameModels(job: SampleJob, mine: Readonly<Record<string, string>>): void {
  for (const [name, version] of Object.entries(job.models)) {
    if (mine[name] === version) continue;
    throw new TtsVarError(
      "MODEL_INVALID",
      `this worker has ${name} at version ${mine[name] ?? "none"}, but the run needs ${version}; ` +
        "install the same models and the same tts-var on every machine",
    );
  }
}

import type { ActiveRun } from "./active-run.ts";

/** Runs searches one after another, in the order in which they were asked for. */
export class RunQueue {
  readonly #start: (run: ActiveRun) => Promise<void>;
  readonly #waiting: ActiveRun[] = [];
  #running: ActiveRun | null = null;
  #work: Promise<void> = Promise.resolve();
  #changes = 0;
  #closed = false;

  /** @param start performs a search; never rejects */
  constructor(start: (run: ActiveRun) => Promise<void>) {
    this.#start = start;
  }

  /** Grows whenever a run was added, began or ended. */
  get changes(): number {
    return this.#changes;
  }

  get waiting(): readonly ActiveRun[] {
    return this.#waiting;
  }

  get running(): ActiveRun | null {
    return this.#running;
  }

  add(run: ActiveRun): void {
    this.#waiting.push(run);
    this.#changes++;
    if (!this.#running && !this.#closed) this.#work = this.#drain();
  }

  /** @returns whether there was anything to stop */
  cancel(id: string): boolean {
    const at = this.#waiting.findIndex((run) => run.id === id);
    const run = at < 0 ? this.#running : this.#waiting.splice(at, 1)[0]!;
    if (run?.id !== id) return false;
    run.cancel();
    this.#changes++;
    return true;
  }

  /** Stops everything; settles when the running search has closed its folder. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { id } of [...this.#waiting]) this.cancel(id);
    this.#running?.cancel();
    await this.#work;
  }

  async #drain(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      this.#running = next;
      this.#changes++;
      await this.#start(next);
      this.#running = null;
      this.#changes++;
    }
  }
}

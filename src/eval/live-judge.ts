import type { FoundImage } from "../core/benchmark.ts";
import type { VerdictLog } from "./judge-folder.ts";
import type { ResultRow } from "./results.ts";

const batch = 16;

/** Judges images while others are still being made: in batches, one at a time, away from the jobs' path. */
export class LiveJudge {
  readonly #log: VerdictLog;
  readonly #onRows: (rows: readonly ResultRow[]) => void;
  #waiting: FoundImage[] = [];
  #work: Promise<void> = Promise.resolve();

  constructor(log: VerdictLog, onRows: (rows: readonly ResultRow[]) => void) {
    this.#log = log;
    this.#onRows = onRows;
  }

  /** Takes an image; rejects as soon as an earlier batch has failed. */
  async add(image: FoundImage): Promise<void> {
    this.#waiting.push(image);
    // Waiting for the former batch bounds how far the judge may fall behind.
    if (this.#waiting.length >= batch) {
      const former = this.#work;
      this.#flush();
      await former;
    }
  }

  /** Judges what is left. */
  async finish(): Promise<void> {
    this.#flush();
    await this.#work;
  }

  #flush(): void {
    const images = this.#waiting;
    this.#waiting = [];
    this.#work = this.#work.then(async () => {
      if (images.length > 0) this.#onRows(await this.#log.judge(images));
    });
    // The error is reported by whoever awaits next; until then it must not count as unhandled.
    this.#work.catch(() => undefined);
  }
}

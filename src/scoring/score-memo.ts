import { createHash } from "node:crypto";
import { canonicalJson } from "../core/canonical-json.ts";
import { pixelHash, type RgbImage } from "../core/image.ts";
import type { RewardItem } from "../core/reward.ts";

/** One remembered score with its explanation. */
export interface ScoredItem {
  readonly score: number | null;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Scores that are remembered. A batch must fit, and a search of the largest budget does many times. */
const MOST = 2 ** 16;

/** Scores by what they depend on, in memory; the oldest are forgotten, so that a process may run for weeks. */
export class ScoreMemo {
  readonly #scores = new Map<string, ScoredItem>();
  readonly #hashes = new WeakMap<RgbImage, string>();

  get size(): number {
    return this.#scores.size;
  }

  get(key: string): ScoredItem | undefined {
    return this.#scores.get(key);
  }

  set(key: string, scored: ScoredItem): void {
    this.#scores.set(key, scored);
    if (this.#scores.size > MOST) this.#scores.delete(this.#scores.keys().next().value!);
  }

  /** Identity of one evaluation: reward, version, options, pixels, source, prompt and metadata; never the candidate's name. */
  key(identity: string, { image, source, prompt, metadata }: RewardItem): string {
    const hashes = [image, ...(source ? [source] : [])].map((picture) => this.#hash(picture));
    return createHash("sha256")
      .update(JSON.stringify([identity, prompt, ...hashes]))
      .update(canonicalJson(metadata))
      .digest("base64");
  }

  #hash(picture: RgbImage): string {
    const hash = this.#hashes.get(picture) ?? pixelHash(picture);
    this.#hashes.set(picture, hash);
    return hash;
  }
}

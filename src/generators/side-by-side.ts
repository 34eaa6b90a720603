import type { Sampler } from "../core/generator.ts";
import { deriveSampler } from "./fix-requests.ts";

/**
 * Copies of one sampler, each in a thread of its own, as one sampler: sessions go to them in turn. Results depend on no
 * copy, so they do not depend on their number either. The copies stay the caller's to dispose.
 */
export function sideBySide(copies: readonly [Sampler, ...Sampler[]]): Sampler {
  let started = 0;
  return deriveSampler(copies[0], {
    start: (request) => copies[started++ % copies.length]!.start(request),
    async [Symbol.asyncDispose]() {},
  });
}

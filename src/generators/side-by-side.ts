import type { Generator } from "../core/generator.ts";
import { deriveGenerator } from "./fix-requests.ts";

/**
 * Copies of one generator, each in a thread of its own, as one generator: sessions go to them in turn. Results depend on no
 * copy, so they do not depend on their number either. The copies stay the caller's to dispose.
 */
export function sideBySide(copies: readonly [Generator, ...Generator[]]): Generator {
  let started = 0;
  return deriveGenerator(copies[0], {
    start: (request) => copies[started++ % copies.length]!.start(request),
    async [Symbol.asyncDispose]() {},
  });
}

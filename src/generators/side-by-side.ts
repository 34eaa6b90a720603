import type { Generator } from "../core/generator.ts";

/**
 * Copies of one generator, each in a thread of its own, as one: sessions go to them in turn. Results depend on no copy, so
 * they do not depend on their number either. The copies stay the caller's to dispose.
 */
export function sideBySide(copies: readonly [Generator, ...Generator[]]): Generator {
  const [{ traits, encode, withSettings }] = copies;
  let started = 0;
  return {
    traits,
    start: (task, ids) => copies[started++ % copies.length]!.start(task, ids),
    ...(encode ? { encode } : {}),
    ...(withSettings
      ? {
          async withSettings(settings: unknown) {
            const [first, ...others] = copies.map((copy) => copy.withSettings!(settings));
            return sideBySide([await first!, ...(await Promise.all(others))]);
          },
        }
      : {}),
    async [Symbol.asyncDispose]() {},
  };
}

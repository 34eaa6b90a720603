export interface Deadline {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** What to throw when time is up. */
  readonly late: () => Error;
}

/**
 * Runs work that must answer in time. The work's signal fires when time is up or the outer signal does; a result that
 * comes later is dropped.
 *
 * Everything hangs on a timer and a listener of our own: signals of `AbortSignal.timeout` and `AbortSignal.any` can be
 * collected as garbage before they fire, and whoever waits for them waits for ever.
 *
 * @throws what `late` makes when time is up, the outer signal's reason when that fires, else what the work throws
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { signal: outer, timeoutMs, late }: Deadline,
): Promise<T> {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const follow = (): void => controller.abort(outer?.reason);
  const timer = setTimeout(() => controller.abort(late()), timeoutMs);
  outer?.addEventListener("abort", follow, { once: true });
  const stopped = new Promise<never>((_, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
  });
  try {
    return await Promise.race([work(controller.signal), stopped]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", follow);
  }
}

/**
 * Runs work that must answer in time. The work's signal fires when time is up or the outer signal does; a result that
 * comes later is dropped.
 *
 * @throws what `late` makes when time is up, the outer signal's reason when that fires, else what the work throws
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  limit: { readonly signal?: AbortSignal; readonly timeoutMs: number; readonly late: () => Error },
): Promise<T> {
  const deadline = new AbortController();
  const signal = limit.signal ? AbortSignal.any([limit.signal, deadline.signal]) : deadline.signal;
  signal.throwIfAborted();
  let timer: NodeJS.Timeout | undefined;
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    timer = setTimeout(() => deadline.abort(limit.late()), limit.timeoutMs);
  });
  try {
    return await Promise.race([work(signal), stopped]);
  } finally {
    clearTimeout(timer);
  }
}

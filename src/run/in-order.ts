/**
 * Works on items, a few at a time, and gives the results in the items' order, each as soon as those before it are there. Nothing is begun
 * before somebody asks for a result. Whoever stops asking, and the first failure, abort what is under way; it has ended when
 * the loop has.
 *
 * @param atOnce items under way at a time, at least 1
 * @param signal aborts all of it; its reason is thrown
 */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  atOnce: number,
  signal: AbortSignal | undefined,
  work: (item: Item, index: number, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const stop = new AbortController();
  const forward = (): void => stop.abort(signal?.reason);
  const pending: Promise<Result>[] = [];
  let index = 0;
  signal?.throwIfAborted();
  signal?.addEventListener("abort", forward, { once: true });
  try {
    for await (const item of items) {
      signal?.throwIfAborted();
      const result = work(item, index++, stop.signal);
      // It may fail while an earlier one is waited for.
      result.catch(() => undefined);
      pending.push(result);
      if (pending.length >= atOnce) yield await pending.shift()!;
    }
    while (pending.length > 0) yield await pending.shift()!;
  } finally {
    signal?.removeEventListener("abort", forward);
    stop.abort(new Error("the loop over the results has ended"));
    await Promise.allSettled(pending);
  }
}

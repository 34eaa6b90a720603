/**
 * Owns resources and disposes of them once, in reverse order of creation, each even if another one fails.
 * (AsyncDisposableStack of newer runtimes, which Node 20 lacks.)
 */
export class Disposal implements AsyncDisposable {
  #owned: AsyncDisposable[] = [];

  /** Takes ownership and returns the resource. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  /** Runs `create`; if it fails, everything owned so far is disposed of before the error goes on. */
  async during<T>(create: () => Promise<T>): Promise<T> {
    try {
      return await create();
    } catch (error) {
      await this[Symbol.asyncDispose]().catch(() => undefined);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const owned = this.#owned.reverse();
    this.#owned = [];
    const failures: unknown[] = [];
    for (const resource of owned) {
      try {
        await resource[Symbol.asyncDispose]();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1)
      throw new AggregateError(failures, `${failures.length} resources failed to close`);
  }
}

/**
 * Holds resources while work is done, and gives them back in reverse order. Where a function also imports modules, this
 * stands for `using`: the compiler leaves the names of such imports as they are beside it, and the package does not find
 * them.
 */
export async function holding<T>(resources: readonly Disposable[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    for (const resource of resources.toReversed()) resource[Symbol.dispose]();
  }
}

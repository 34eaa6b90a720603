/** Things that are opened once for all who use them at the same time, by key; the last one to leave closes them. */
export class Shared<T extends AsyncDisposable> {
  readonly #open = new Map<string, { readonly thing: Promise<T>; users: number }>();

  /** The thing behind `key`, opened if nobody uses it, and how to leave it. @throws what `open` throws */
  async use(key: string, open: () => Promise<T>): Promise<{ thing: T; leave(): Promise<void> }> {
    const held = this.#open.get(key) ?? { thing: open(), users: 0 };
    this.#open.set(key, held);
    held.users++;
    let left = false;
    const leave = async (): Promise<void> => {
      if (left) return;
      left = true;
      if (--held.users > 0) return;
      if (this.#open.get(key) === held) this.#open.delete(key);
      await held.thing.then((thing) => thing[Symbol.asyncDispose]());
    };
    try {
      return { thing: await held.thing, leave };
    } catch (error) {
      if (this.#open.get(key) === held) this.#open.delete(key);
      throw error;
    }
  }
}

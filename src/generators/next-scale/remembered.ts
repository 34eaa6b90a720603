/**
 * The results of the last requests, as many as fit into a number of bytes, but always the last one. Requests that come
 * while one is under way wait for the same result; a failure is forgotten.
 */
export class Remembered<Value> {
  readonly #limit: number;
  readonly #sizeOf: (value: Value) => number;
  readonly #values = new Map<string, Promise<Value>>();
  readonly #sizes = new Map<string, number>();

  constructor(limit: number, sizeOf: (value: Value) => number) {
    this.#limit = limit;
    this.#sizeOf = sizeOf;
  }

  async get(key: string, make: () => Promise<Value>): Promise<Value> {
    const pending = this.#values.get(key) ?? make();
    // Re-inserting moves the key to the end of the map's order: the first one is the least recently used.
    this.#values.delete(key);
    this.#values.set(key, pending);
    try {
      const value = await pending;
      this.#sizes.set(key, this.#sizeOf(value));
      this.#forget(key);
      return value;
    } catch (error) {
      this.#values.delete(key);
      throw error;
    }
  }

  #forget(kept: string): void {
    let total = [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
    for (const key of [...this.#values.keys()]) {
      if (total <= this.#limit) return;
      if (key === kept) continue;
      total -= this.#sizes.get(key) ?? 0;
      this.#sizes.delete(key);
      this.#values.delete(key);
    }
  }
}

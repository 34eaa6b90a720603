import { canonicalJson } from "../core/canonical-json.ts";
import type { LoadedPlugin } from "./load-module.ts";

/**
 * Plug-ins that had to be opened to be described, since only the running plug-in knows its traits. The run that follows
 * takes them from here, so that each is loaded once; what nobody takes is closed with this.
 */
export class KeptPlugins implements AsyncDisposable {
  readonly #kept = new Map<string, LoadedPlugin<AsyncDisposable>>();

  /** The plug-in that is kept for this request; opened if there is none. It stays kept. */
  async describe<T extends AsyncDisposable>(
    request: readonly unknown[],
    open: () => Promise<LoadedPlugin<T>>,
  ): Promise<T> {
    const key = canonicalJson(request);
    const known = this.#kept.get(key) ?? (await open());
    this.#kept.set(key, known);
    return known.value as T;
  }

  /** The plug-in for this request, now the caller's; opened if none is kept. */
  async take<T extends AsyncDisposable>(
    request: readonly unknown[],
    open: () => Promise<LoadedPlugin<T>>,
  ): Promise<LoadedPlugin<T>> {
    const key = canonicalJson(request);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    return (known as LoadedPlugin<T> | undefined) ?? open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const rest = [...this.#kept.values()].reverse();
    this.#kept.clear();
    await Promise.allSettled(rest.map(({ value }) => value[Symbol.asyncDispose]()));
  }
}

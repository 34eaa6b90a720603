import type { Generator } from "../../core/generator.ts";

/** Settings that are remembered. Callers may think of endlessly many. */
const MOST = 64;

/** A generator under the settings of its callers: the same weights, and what was made for earlier ones. */
export class UnderSettings {
  readonly #generator: Generator;
  /** The longest unused first. */
  readonly #known = new Map<string, Promise<Generator>>();

  constructor(generator: Generator) {
    this.#generator = generator;
  }

  /**
   * The generator under settings; none given, or a model that has none: as it is.
   *
   * @throws TtsVarError CONFIG_INVALID for settings that the model does not have
   */
  async for(settings: unknown): Promise<Generator> {
    const key = JSON.stringify(settings ?? {});
    const { withSettings } = this.#generator;
    if (key === "{}" || !withSettings) return this.#generator;
    const found = this.#known.get(key) ?? withSettings.call(this.#generator, settings);
    this.#known.delete(key);
    this.#known.set(key, found);
    // Its sessions may go on, so it is not disposed of; the weights are those of the generator.
    if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value!);
    return found.catch((error: unknown) => {
      this.#known.delete(key);
      throw error;
    });
  }
}

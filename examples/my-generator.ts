import { defineGenerator, rowGenerator, sidesOf, TtsVarError } from "../src/index.ts"; // outside this repository: "tts-var"

const shape = { id: "1:1", width: 32, height: 32, frames: 1, grain: 4 };
const GREY = 128;

/** Bands: every stage paints two from the top, in as many greys as the setting says. */
export default defineGenerator({
  async describe({ settings } = {}) {
    const { greys = 4, ...others } = (settings ?? {}) as { greys?: number };
    if (Object.keys(others).length > 0 || !Number.isInteger(greys) || greys < 2) {
      throw new TtsVarError("CONFIG_INVALID", "model.options may have greys, a whole number from 2");
    }
    return {
      specificationVersion: 2,
      name: "bands",
      version: "1",
      shape,
      stages: [0, 1, 2, 3].map((index) => ({
        index,
        label: `band ${index + 1}`,
        tokens: 2,
        final: (index + 1) / 4,
      })),
      tokens: { kind: "index", size: greys },
      looks: ["now"],
      can: ["keep", "rewind"],
      cost: { prompt: 0, stages: [1000, 1000, 1000, 1000], shared: 0, views: { now: 100 } },
      memory: null,
      settings: { greys },
    };
  },

  async open(request) {
    const traits = await this.describe(request);
    const greys = traits.settings["greys"] as number;
    const generator = rowGenerator<readonly number[]>(traits, {
      begin: () => [],
      draw(row, _stage, stream, kept) {
        const data = kept?.data ?? Int32Array.from([0, 1], (at) => Math.floor(greys * stream.uniform(at)));
        return { row: [...row, ...data], tokens: { count: 2, data } };
      },
      look(row, stages, { size }) {
        const { width, height } = sidesOf(shape, size);
        const data = new Uint8Array(3 * width * height).fill(GREY);
        row.forEach((value, at) => {
          const [from, to] = [at, at + 1].map((line) => 3 * width * Math.floor((line * height) / 8));
          data.fill(Math.round((255 * value) / (greys - 1)), from, to);
        });
        return { frames: [{ width, height, data }], coverage: stages / 4 };
      },
    });
    return { ...generator, withSettings: (settings) => this.open({ ...request, settings }) };
  },
});

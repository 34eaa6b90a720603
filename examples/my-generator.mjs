// Stripes, painted a quarter of the picture at a time. Every stripe is a token: one of eight colours.
const STAGES = 4;
const STRIPES = 8;
const SIDE = STAGES * STRIPES;
const colour = (value) =>
  value === undefined ? [128, 128, 128] : [4, 2, 1].map((bit) => (value & bit ? 255 : 0));

/** The family's own setting, checked: how likely a stripe repeats its neighbour's colour. */
function calmOf({ calm = 0.5, ...others } = {}) {
  for (const name of Object.keys(others)) throw new Error(`it has no setting "${name}", only calm`);
  if (!(calm >= 0 && calm <= 1)) throw new Error(`calm must be from 0 to 1, not ${calm}`);
  return calm;
}

export default {
  /** What the model is and costs, as plain data: enough for `tts-var plan`. */
  describe: async ({ settings } = {}) => ({
    specificationVersion: 2,
    name: "stripes",
    version: "1",
    shape: { id: "1:1", width: SIDE, height: SIDE, frames: 1, grain: 1 },
    stages: Array.from({ length: STAGES }, (_, index) => ({
      index,
      label: `quarter ${index + 1}`,
      tokens: STRIPES,
      final: (index + 1) / STAGES,
    })),
    tokens: { kind: "index", size: 8 },
    looks: ["now", "ahead"],
    can: ["keep"],
    cost: { prompt: 0, stages: [1000, 1000, 1000, 1000], shared: 0, views: { now: 100, ahead: 150 } },
    memory: null,
    settings: { calm: calmOf(settings) },
  }),

  /** How it draws. A row is all that a candidate has come to, here the colours of its stripes; it is never changed. */
  open: async ({ settings } = {}) => ({
    begin: () => [],
    draw(row, _stage, stream, kept) {
      const data = kept?.data ?? new Int32Array(STRIPES);
      for (let at = 0; at < STRIPES && !kept; at++) {
        const repeat = stream.uniform(2 * at) < calmOf(settings);
        data[at] = repeat ? (data[at - 1] ?? row.at(-1) ?? 0) : Math.floor(8 * stream.uniform(2 * at + 1));
      }
      return { row: [...row, ...data], tokens: { count: STRIPES, data } };
    },
    look(row, stages, { size, look }) {
      const side = Math.max(1, Math.round(SIDE * size));
      const stripe = (x) => row[Math.floor((x * SIDE) / side)] ?? (look === "ahead" ? row.at(-1) : undefined);
      const line = Array.from({ length: side }, (_, x) => colour(stripe(x))).flat();
      const data = Uint8Array.from({ length: 3 * side * side }, (_, at) => line[at % line.length]);
      return {
        frames: [{ width: side, height: side, data }],
        coverage: look === "ahead" ? 1 : stages / STAGES,
      };
    },
  }),
};

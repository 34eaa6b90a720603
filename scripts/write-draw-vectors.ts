import { mkdirSync, writeFileSync } from "node:fs";
import { createRng } from "../src/core/rng.ts";
import { drawBits } from "../src/samplers/infinity/draw.ts";

// `npx tsx scripts/write-draw-vectors.ts`: keyed uniforms and drawn bits as this package makes them, for servers in other
// languages that must draw the same (training/tests/test_serve.py reads the file).

const STREAMS = [
  { seed: 0, prompt: "a photo of a dog", id: "c0", scale: 0, count: 9 },
  { seed: 7, prompt: "a photo of two red cars", id: "c3.1", scale: 5, count: 16 },
  { seed: -1, prompt: "", id: "c0", scale: 12, count: 3 },
  { seed: "run 4", prompt: "ein grüner Becher ☕ 🎈", id: "c12.2.1", scale: 3, count: 21 },
  { seed: Number.MAX_SAFE_INTEGER, prompt: "x", id: "☕", scale: 1, count: 1025 },
];

const DRAWS = [
  { guidance: 3, temperature: 0.7, topP: 0.97 },
  { guidance: 1, temperature: 1, topP: 1 },
  { guidance: 4.5, temperature: 2, topP: 0.6 },
  { guidance: 2, temperature: 1, topP: 0.9, topK: 1 },
];
const BITS = 64;

const uniformWords = (stream: (typeof STREAMS)[number]): number[] => {
  const values = new Float64Array(stream.count);
  createRng(stream.seed, stream.prompt).stream("token", stream.id, stream.scale).fill(values);
  // Uniforms are 32-bit words over 2^32: as words they are exact in every format.
  return Array.from(values, (value) => value * 0x1_0000_0000);
};

/** Logits of moderate size, exactly representable in float32. */
const logits = (name: string): Float32Array => {
  const stream = createRng("draw vectors", name).stream("token", name, 0);
  return Float32Array.from({ length: BITS }, (_, at) => 3 * stream.normal(at));
};

const draws = DRAWS.map((settings, index) => {
  const cond = logits(`cond ${index}`);
  const uncond = index === 1 ? null : logits(`uncond ${index}`);
  const key = { seed: index, prompt: "a photo of a cup", id: `c${index}`, scale: index };
  const stream = createRng(key.seed, key.prompt).stream("token", key.id, key.scale);
  const { bits, ...signals } = drawBits(cond, uncond, settings, stream);
  const forced = drawBits(
    cond,
    uncond,
    settings,
    stream,
    bits.map((bit) => 1 - bit),
  );
  return {
    ...key,
    settings,
    cond: [...cond],
    uncond: uncond && [...uncond],
    bits: bits.join(""),
    ...signals,
    oppositeLogProb: forced.logProb,
  };
});

const folder = new URL("../test/fixtures/remote/", import.meta.url);
mkdirSync(folder, { recursive: true });
const content = { streams: STREAMS.map((stream) => ({ ...stream, words: uniformWords(stream) })), draws };
writeFileSync(new URL("draws.json", folder), `${JSON.stringify(content)}\n`);

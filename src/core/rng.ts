import { createHash } from "node:crypto";

/**
 * Counter-based randomness (Philox4x32-10, Salmon et al. 2011). A draw is a pure function of
 * (seed, prompt, lineage, scale, purpose, position): there is no state, so batch composition, order, threads and
 * resumption cannot change it.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const mid = aHigh * bLow + ((aLow * bLow) >>> 16);
  const mid2 = aLow * bHigh + (mid & 0xffff);
  return (aHigh * bHigh + Math.floor(mid / 0x10000) + Math.floor(mid2 / 0x10000)) >>> 0;
}

/** One Philox4x32-10 block: four 32-bit words from a 128-bit counter and a 64-bit key. Writes into `out`. */
export function philox(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
): void {
  let x0 = c0 >>> 0;
  let x1 = c1 >>> 0;
  let x2 = c2 >>> 0;
  let x3 = c3 >>> 0;
  let key0 = k0 >>> 0;
  let key1 = k1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, x0);
    const low0 = Math.imul(M0, x0) >>> 0;
    const high1 = mulHigh(M1, x2);
    const low1 = Math.imul(M1, x2) >>> 0;
    x0 = (high1 ^ x1 ^ key0) >>> 0;
    x1 = low1;
    x2 = (high0 ^ x3 ^ key1) >>> 0;
    x3 = low0;
    key0 = (key0 + W0) >>> 0;
    key1 = (key1 + W1) >>> 0;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

/** What a stream of draws is for. Streams of different purposes never overlap. */
export type RngPurpose = "token" | "select" | "cluster" | "stats";

const PURPOSES: Record<RngPurpose, number> = { token: 0, select: 1, cluster: 2, stats: 3 };

/** Random access to one stream: `uniform(position)` always gives the same value in [0, 1). */
export interface RngStream {
  /** 32 random bits scaled to [0, 1). */
  uniform(position: number): number;
  /** Standard normal (Box-Muller on two words of the same block). */
  normal(position: number): number;
  /** Fills `out` with uniforms for positions `0..out.length-1`; the same values as `uniform`, faster. */
  fill(out: Float64Array): void;
}

/** A family of streams for one prompt of one run. */
export interface Rng {
  /**
   * @param id    lineage id of a candidate, or any name for draws that belong to no candidate
   * @param scale stage index, so that each stage has its own draws
   */
  stream(purpose: RngPurpose, id: string, scale: number): RngStream;
}

function hash64(text: string): readonly [number, number] {
  const digest = createHash("sha256").update(text).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
}

/** Randomness of one (seed, prompt). `seed` may be any safe integer or string. */
export function createRng(seed: number | string, prompt: string): Rng {
  const [key0, key1] = hash64(`${seed}\u0000${prompt}`);
  const lineages = new Map<string, readonly [number, number]>();
  return {
    stream(purpose, id, scale) {
      let lineage = lineages.get(id);
      if (!lineage) {
        lineage = hash64(id);
        lineages.set(id, lineage);
      }
      return createStream(key0, key1, lineage, ((scale << 4) | PURPOSES[purpose]) >>> 0);
    },
  };
}

function createStream(
  key0: number,
  key1: number,
  [id0, id1]: readonly [number, number],
  domain: number,
): RngStream {
  const block = new Uint32Array(4);
  const word = (position: number): number => {
    philox(position >>> 2, domain, id0, id1, key0, key1, block);
    return block[position & 3]!;
  };
  return {
    uniform: (position) => word(position) / 0x1_0000_0000,
    normal(position) {
      philox(position, domain | 8, id0, id1, key0, key1, block);
      const radius = Math.sqrt(-2 * Math.log((block[0]! + 1) / 0x1_0000_0001));
      return radius * Math.cos((2 * Math.PI * block[1]!) / 0x1_0000_0000);
    },
    fill(out) {
      for (let start = 0; start < out.length; start += 4) {
        philox(start >>> 2, domain, id0, id1, key0, key1, block);
        const end = Math.min(4, out.length - start);
        for (let lane = 0; lane < end; lane++) out[start + lane] = block[lane]! / 0x1_0000_0000;
      }
    },
  };
}

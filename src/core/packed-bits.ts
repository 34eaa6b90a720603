/** Bits as bytes, the first one highest; the last byte is filled up with zeros. */
export function bytesOfBits(bits: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (let at = 0; at < bits.length; at++) if (bits[at]) bytes[at >> 3]! |= 0x80 >> (at & 7);
  return bytes;
}

/** The first `count` bits of bytes, one byte each. */
export function bitsOfBytes(bytes: Uint8Array, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, at) => (bytes[at >> 3]! >> (7 - (at & 7))) & 1);
}

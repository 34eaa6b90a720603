import type { RgbImage } from "../core/image.ts";
import { encodePng } from "./png.ts";
import { chunk, dataOf, HEADER_END } from "./png-text.ts";

/** How long a frame is shown, as a fraction of a second. */
const [SHOWN, OF] = [1, 4];

/**
 * Frames of one size as an animated PNG that plays for ever (PNG specification, third edition, 4.9). Programs that know no
 * animations show the first frame.
 */
export async function encodeClip(frames: readonly [RgbImage, ...RgbImage[]]): Promise<Buffer> {
  const [{ width, height }] = frames;
  const stills = await Promise.all(frames.map(encodePng));
  let sequence = 0;
  const control = (): Buffer => {
    const data = Buffer.alloc(26);
    data.writeUInt32BE(sequence++, 0);
    data.writeUInt32BE(width, 4);
    data.writeUInt32BE(height, 8);
    data.writeUInt16BE(SHOWN, 20);
    data.writeUInt16BE(OF, 22);
    return chunk("fcTL", data);
  };
  const numbered = (data: Buffer): Buffer => {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(sequence++, 0);
    return Buffer.concat([number, data]);
  };
  const animation = Buffer.alloc(8);
  animation.writeUInt32BE(frames.length, 0);
  const parts = stills.flatMap((still, at) => {
    const before = control();
    const data = dataOf(still, "IDAT");
    return [before, at === 0 ? chunk("IDAT", data) : chunk("fdAT", numbered(data))];
  });
  const header = stills[0]!.subarray(0, HEADER_END);
  return Buffer.concat([header, chunk("acTL", animation), ...parts, chunk("IEND", Buffer.alloc(0))]);
}

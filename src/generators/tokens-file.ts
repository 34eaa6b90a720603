import { readFile } from "node:fs/promises";
import * as z from "zod";
import { TtsVarError } from "../core/errors.ts";
import { bitsOfBytes, bytesOfBits } from "../core/packed-bits.ts";
import type { GeneratorTraits } from "./definition.ts";

const size = z.int().positive();

const schema = z.strictObject({
  format: z.literal("tts-var-bits"),
  schemaVersion: z.literal(1),
  /** The model that drew or encoded them, for people; other models of equal layout take them too. */
  model: z.string().optional(),
  /** The model's name for aspect ratio and size. */
  schedule: z.string().min(1).optional(),
  scales: z
    .array(
      z
        .strictObject({ h: size, w: size, bitsPerToken: size, bits: z.base64() })
        .refine(
          ({ h, w, bitsPerToken, bits }) =>
            Buffer.from(bits, "base64").length === Math.ceil((h * w * bitsPerToken) / 8),
          { error: "has not as many bits as h, w and bitsPerToken say", path: ["bits"] },
        ),
    )
    .min(1),
});

/** Bits of an image by scale, coarse to fine; all scales of a model, or only its first ones. */
export type BitsFile = z.output<typeof schema>;

/**
 * The content of a bits file.
 *
 * @param bits `[scale][y, x, channel]`, one byte per bit
 */
export function packBits(generator: GeneratorTraits, bits: readonly Uint8Array[]): BitsFile {
  const { version, schedule, scales } = generator;
  return {
    format: "tts-var-bits",
    schemaVersion: 1,
    model: version,
    ...(schedule === undefined ? {} : { schedule }),
    scales: bits.map((values, scale) => {
      const { h, w } = scales[scale]!;
      return {
        h,
        w,
        bitsPerToken: values.length / (h * w),
        bits: Buffer.from(bytesOfBits(values)).toString("base64"),
      };
    }),
  };
}

/**
 * Reads a bits file.
 *
 * @throws TtsVarError CONFIG_NOT_FOUND, CONFIG_INVALID with what is wrong and where
 */
export async function readBitsFile(path: string): Promise<BitsFile> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new TtsVarError(
      "CONFIG_NOT_FOUND",
      `cannot read the bits ${path} (${cause.code}); every run writes those of its candidates to bits/, and \`tts-var bits\` makes them from an image`,
      { cause },
    );
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TtsVarError("CONFIG_INVALID", `${path} is no bits file: it is not valid JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new TtsVarError("CONFIG_INVALID", `${path} is no bits file:\n${z.prettifyError(parsed.error)}`);
}

/**
 * Bits as a generator takes them, up to but without a scale.
 *
 * @param path  for messages
 * @param until first scale to leave free; default: all scales of the file are taken
 * @throws TtsVarError CONFIG_INVALID if the file is for another schedule or model
 */
export function bitsFor(
  generator: GeneratorTraits,
  file: BitsFile,
  path: string,
  until = file.scales.length,
): Uint8Array[] {
  const { scales, bitsPerToken } = generator;
  const shape = (h: number, w: number, bits: number | undefined) => `${h}x${w} with ${bits} bits per token`;
  if (until > file.scales.length || file.scales.length > scales.length) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `${path} has bits of ${file.scales.length} scales, but ` +
        (until > file.scales.length
          ? `sampling.bitsUntil is ${until}; at most ${file.scales.length} is possible`
          : `${generator.name} has ${scales.length}`),
    );
  }
  return file.scales.slice(0, until).map(({ h, w, bitsPerToken: width, bits }, scale) => {
    const own = scales[scale]!;
    if (own.h !== h || own.w !== w || (bitsPerToken !== undefined && bitsPerToken !== width)) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `${path}: scale ${scale} is ${shape(h, w, width)}, but ${generator.name}` +
          `${generator.schedule === undefined ? "" : ` at ${generator.schedule}`} has ${shape(own.h, own.w, bitsPerToken)}` +
          `${file.schedule === undefined ? "" : `; the file was made for schedule ${file.schedule}`}`,
      );
    }
    return bitsOfBytes(Buffer.from(bits, "base64"), h * w * width);
  });
}

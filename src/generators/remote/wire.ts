import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { Picture } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Task } from "../../core/task.ts";
import { bytesOfTokens, type TokenKind, type Tokens, tokensOfBytes } from "../../core/tokens.ts";
import type { WireTask, WireTokens } from "./protocol.ts";

// The contract's values as JSON and bytes, and back.

export function wireTask(kind: TokenKind, { source, mask, keep, seed, ...plain }: Task): WireTask {
  return {
    ...plain,
    metadata: { ...plain.metadata },
    seed,
    ...(source === undefined ? {} : { source: wireImage(source) }),
    ...(mask === undefined ? {} : { mask: wireImage(mask) }),
    ...(keep === undefined ? {} : { keep: keep.map((tokens) => wireTokens(kind, tokens)) }),
  };
}

export function taskOf(
  kind: TokenKind,
  { source, mask, maskMode, keep, negativePrompt, promptAt, label, metadata, ...plain }: WireTask,
): Task {
  return {
    ...plain,
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
    ...(promptAt === undefined ? {} : { promptAt }),
    ...(label === undefined ? {} : { label }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(source === undefined ? {} : { source: imageOf(source) }),
    ...(mask === undefined ? {} : { mask: imageOf(mask) }),
    ...(maskMode === undefined ? {} : { maskMode }),
    ...(keep === undefined ? {} : { keep: keep.map((tokens, stage) => keptOf(kind, tokens, stage)) }),
  };
}

function keptOf(kind: TokenKind, wired: WireTokens, stage: number): Tokens {
  try {
    return tokensOf(kind, wired);
  } catch (cause) {
    throw new TtsVarError("CONFIG_INVALID", `kept tokens of stage ${stage}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

export function wireTokens(kind: TokenKind, tokens: Tokens): WireTokens {
  return { count: tokens.count, base64: Buffer.from(bytesOfTokens(kind, tokens)).toString("base64") };
}

/** @throws TtsVarError CONFIG_INVALID when the bytes are not those of so many tokens */
export function tokensOf(kind: TokenKind, { count, base64 }: WireTokens): Tokens {
  try {
    return tokensOfBytes(kind, count, Uint8Array.from(Buffer.from(base64, "base64")));
  } catch (cause) {
    throw new TtsVarError("CONFIG_INVALID", `${count} tokens: ${(cause as Error).message}`, { cause });
  }
}

export function wireImage({ width, height, data }: RgbImage) {
  return { width, height, base64: Buffer.from(data).toString("base64") };
}

/** @throws TtsVarError CONFIG_INVALID when the bytes are not those of such an image */
export function imageOf({ width, height, base64 }: ReturnType<typeof wireImage>): RgbImage {
  const data = new Uint8Array(Buffer.from(base64, "base64"));
  const needed = width * height * 3;
  if (data.length === needed) return { width, height, data };
  throw new TtsVarError("CONFIG_INVALID", `the image has ${data.length} bytes, but ${needed} are needed`);
}

const headSchema = z.array(
  z.object({
    width: z.int().positive(),
    height: z.int().positive(),
    frames: z.int().positive(),
    coverage: z.number().gt(0).max(1),
  }),
);

/** Pictures as a line of JSON (an entry each: width, height, frames, coverage) and all their pixels after it. */
export function bytesOfPictures(pictures: readonly Picture[]): Buffer {
  const head = pictures.map(({ frames, coverage }) => {
    const [{ width, height }] = frames;
    return { width, height, frames: frames.length, coverage };
  });
  const pixels = pictures.flatMap(({ frames }) => frames.map(({ data }) => data));
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...pixels]);
}

/** The inverse of `bytesOfPictures`; null if it is nothing of the kind. */
export function picturesOf(bytes: Buffer): Picture[] | null {
  const end = bytes.indexOf("\n");
  const head = headSchema.safeParse(parseJson(bytes.subarray(0, Math.max(0, end)).toString("utf8")));
  if (!head.success) return null;
  const needed = head.data.reduce((sum, { width, height, frames }) => sum + width * height * frames * 3, 0);
  if (bytes.length !== end + 1 + needed) return null;
  let at = end + 1;
  return head.data.map(({ width, height, frames: count, coverage }) => {
    const frame = (): RgbImage => {
      // A copy of its own: an image must not keep all others of its call in memory.
      const data = new Uint8Array(bytes.subarray(at, at + width * height * 3));
      at += data.length;
      return { width, height, data };
    };
    const [first, ...others] = Array.from({ length: count }, frame);
    return { frames: [first!, ...others], coverage };
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { TtsVarError } from "../core/errors.ts";

/**
 * Text chunks of PNG files (PNG specification, third edition, 11.3.3): written as uncompressed iTXt, read from
 * uncompressed iTXt and tEXt. Compressed ones are left alone: a kilobyte of them may stand for gigabytes.
 */

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Bytes of a chunk before its data: length and type. */
const HEAD = 8;
/** The signature and the whole IHDR chunk, which has to come first. */
export const HEADER_END = SIGNATURE.length + HEAD + 13 + 4;
/** Larger texts of foreign files are not read. */
const MOST_TEXT = 1 << 20;
const MOST_CHUNKS = 100_000;

/**
 * Puts texts into a PNG file, right after its header. NUL characters, which no text chunk can hold, are left out, and so
 * are texts that `readTexts` would not read.
 */
export function withTexts(png: Uint8Array, texts: Readonly<Record<string, string>>): Buffer {
  // Keyword, NUL, uncompressed, no language, no translated keyword.
  const chunks = Object.entries(texts)
    .map(([keyword, text]) => Buffer.from(`${keyword}\0\0\0\0\0${text.replaceAll("\0", "")}`))
    .filter(({ length }) => length <= MOST_TEXT)
    .map((data) => chunk("iTXt", data));
  return Buffer.concat([png.subarray(0, HEADER_END), ...chunks, png.subarray(HEADER_END)]);
}

/** A chunk with its length and checksum. */
export function chunk(type: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEAD + data.length + 4);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  bytes.set(data, HEAD);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, HEAD + data.length)), HEAD + data.length);
  return bytes;
}

/** The data of all chunks of a type, joined; of a file that this process has encoded. */
export function dataOf(png: Buffer, type: string): Buffer {
  const parts: Buffer[] = [];
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + HEAD) === type)
      parts.push(png.subarray(at + HEAD, at + HEAD + length));
    at += HEAD + length + 4;
  }
  return Buffer.concat(parts);
}

/**
 * The texts of a PNG file by keyword; of equal keywords the first. Only heads of chunks and texts of up to a mebibyte are
 * read, whatever the size of the file.
 *
 * @throws TtsVarError EVAL_DATA if there is no such file, it is no PNG, or its chunks are damaged
 */
export function readTexts(path: string): Map<string, string> {
  const file = openFile(path);
  try {
    return textsOf(path, file);
  } finally {
    closeSync(file);
  }
}

function openFile(path: string): number {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new TtsVarError("EVAL_DATA", `${path} cannot be read (${code}); give the path of a PNG file`, {
      cause,
    });
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw new TtsVarError("EVAL_DATA", `${path} is no file; give the path of a PNG file`);
}

function textsOf(path: string, file: number): Map<string, string> {
  const read = (at: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, at));
  };
  const damaged = (what: string): TtsVarError =>
    new TtsVarError("EVAL_DATA", `${path} is a damaged PNG file: ${what}`);
  if (!read(0, SIGNATURE.length).equals(SIGNATURE))
    throw new TtsVarError(
      "EVAL_DATA",
      `${path} is no PNG file; only those that tts-var wrote tell how they were made`,
    );
  const { size } = fstatSync(file);
  const texts = new Map<string, string>();
  let at = SIGNATURE.length;
  for (let count = 0; count < MOST_CHUNKS; count++) {
    const head = read(at, HEAD);
    if (head.length < HEAD) throw damaged("it ends too early");
    const length = head.readUInt32BE(0);
    const type = head.toString("latin1", 4);
    if (at + HEAD + length + 4 > size)
      throw damaged(`its chunk ${JSON.stringify(type)} is longer than the file`);
    if (type === "IEND") return texts;
    if ((type === "iTXt" || type === "tEXt") && length <= MOST_TEXT) {
      const body = read(at + HEAD, length + 4);
      const data = body.subarray(0, length);
      if (crc32(Buffer.concat([head.subarray(4), data])) !== body.readUInt32BE(length))
        throw damaged("the checksum of a text does not fit");
      const [keyword, text] = type === "iTXt" ? international(data) : plain(data);
      if (text !== undefined && !texts.has(keyword)) texts.set(keyword, text);
    }
    at += HEAD + length + 4;
  }
  throw damaged(`it has more than ${MOST_CHUNKS} chunks`);
}

function plain(data: Buffer): [string, string | undefined] {
  const end = data.indexOf(0);
  return end < 0 ? ["", undefined] : [data.toString("latin1", 0, end), data.toString("latin1", end + 1)];
}

/** Keyword, NUL, compression flag and method, language, NUL, translated keyword, NUL, text. */
function international(data: Buffer): [string, string | undefined] {
  const end = data.indexOf(0);
  const language = data.indexOf(0, end + 3);
  const translated = data.indexOf(0, language + 1);
  const whole = end >= 0 && language >= end + 3 && translated > language;
  if (!whole || data[end + 1] !== 0) return ["", undefined];
  return [data.toString("latin1", 0, end), data.toString("utf8", translated + 1)];
}

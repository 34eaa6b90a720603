import type { Atom, Judge } from "../../core/benchmark.ts";
import type { TextReader } from "../../inference/ocr/reader.ts";
import type { LongTextItem } from "./longtext.ts";
import { sharesFound } from "./text-units.ts";
import { verdictOf } from "./verdict.ts";

/** Counts the wanted words that a text reader finds. Not Qwen2.5-VL, which LongText-Bench reads with: see the judge's name. */
export function textJudge(reader: TextReader): Judge<LongTextItem> {
  const [name, hash = ""] = reader.modelId.split("@");
  return {
    id: `${name}@${hash.slice(0, 8)}`,
    flops: 0,
    async judge(samples) {
      const verdicts = [];
      for (const { item, image } of samples) {
        const lines = await reader.read(image);
        const read = lines.map(({ text }) => text).join(" ");
        const atoms = sharesFound(item.text, read).map(
          (p, at): Atom => ({
            ...{ question: "Which text is there?", expected: item.text[at]!, p, skill: "text", parent: [] },
          }),
        );
        verdicts.push(verdictOf(atoms, { read: lines.map(({ text }) => text) }));
      }
      return verdicts;
    },
    [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
  };
}

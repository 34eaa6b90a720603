/**
 * GenEval rows whose prompts are said in words that the embedded generator does not know, one a line. The rows ask for what
 * they asked for before; only the prompt is said otherwise, by the words of examples/rewrite-plain.mjs read backwards.
 *
 *   npx tsx scripts/other-words.ts 80 > other-words.jsonl
 */
import { promptChecker } from "../src/assemble/prompt-check.ts";
import { generatePrompts } from "../src/eval/geneval/prompts.ts";
import { type Tag, tags } from "../src/eval/geneval/vocabulary.ts";
import { embeddedModelPath } from "../src/inference/folder/model-folder.ts";

const rewriter = new URL("../examples/rewrite-plain.mjs", import.meta.url).href;
const { WORDS } = (await import(rewriter)) as { readonly WORDS: Readonly<Record<string, string>> };
const wanted = Number(process.argv[2] ?? 80);
const check = (await promptChecker(await embeddedModelPath("generator")))!;
const others = new Map(
  Object.entries(WORDS).flatMap(([other, word]) =>
    check(other).unknown.length > 0 ? [[word, other] as const] : [],
  ),
);
const counts = Object.fromEntries(
  tags.map((tag) => [tag, { single_object: 80, colors: 400 }[tag as string] ?? 0]),
) as Record<Tag, number>;
const { prompts } = generatePrompts({ seed: "other-words", counts });
const said = prompts.flatMap((row) => {
  // A hot dog is no pooch.
  if (row.include?.some((each) => each.class.includes(" "))) return [];
  const prompt = row.prompt.replace(/[a-z]+/g, (word) => others.get(word) ?? word);
  return prompt === row.prompt ? [] : [{ ...row, prompt }];
});
for (const row of said.slice(0, wanted)) process.stdout.write(`${JSON.stringify(row)}\n`);
if (said.length < wanted) process.stderr.write(`only ${said.length} prompts can be said otherwise\n`);

import { TtsVarError } from "../../core/errors.ts";
import { describeShort, parseCount, parsePerTag, readPromptSet } from "../../eval/geneval/prompt-source.ts";
import { distributeCounts, generatePrompts } from "../../eval/geneval/prompts.ts";
import { tags } from "../../eval/geneval/vocabulary.ts";
import { openOutputFile } from "../../io/ownership.ts";
import { printJson, printNote, printResult, printWritten } from "../output.ts";

export interface PromptsFlags {
  readonly count: string;
  readonly perTag?: string;
  readonly seed: string;
  readonly disjointFrom?: readonly string[];
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `geneval prompts`: rows of the official format, on stdout or in a file. */
export async function promptsCommand(flags: PromptsFlags): Promise<void> {
  const disjointFrom = [];
  for (const set of flags.disjointFrom ?? []) disjointFrom.push(...(await readPromptSet(set)));
  const counts =
    flags.perTag === undefined
      ? distributeCounts(parseCount(flags.count, "--count"))
      : parsePerTag(flags.perTag);
  const { prompts, short } = generatePrompts({ seed: flags.seed, counts, disjointFrom });
  if (short.length > 0) {
    if (flags.perTag !== undefined || disjointFrom.length === 0) {
      throw new TtsVarError("USAGE", `${describeShort(short)}; ask for fewer`);
    }
    printNote(`note: ${describeShort(short)}`);
  }
  const text = prompts.map((row) => `${JSON.stringify(row)}\n`).join("");
  if (flags.out !== undefined) {
    const output = { command: "geneval prompts", force: flags.force ?? false };
    using file = await openOutputFile(flags.out, output, {
      isOurs: (before) => before === text,
      inputs: flags.disjointFrom ?? [],
    });
    await file.write(text);
  }
  const got = Object.fromEntries(tags.map((tag) => [tag, prompts.filter((row) => row.tag === tag).length]));
  if (flags.json) {
    printJson({
      schemaVersion: 1,
      seed: flags.seed,
      counts: got,
      short,
      ...(flags.out ? { out: flags.out } : { prompts }),
    });
  } else if (flags.out === undefined) printResult(text);
  else printWritten(flags.out, `${prompts.length} prompts: ${flags.out}`);
}

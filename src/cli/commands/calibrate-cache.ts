import type { Command } from "commander";
import { holding } from "../../core/disposal.ts";
import { addForceFlag, addOutputFlags } from "../flags.ts";
import { printJson, printWritten, table } from "../output.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var calibrate-cache
  $ tts-var calibrate-cache --model ./infinity-2b --prompts 10
  $ tts-var search -p "a photo of a red car" --set model.options.cache=scalekv --set model.options.cacheShare=0.25

Draws one image of each prompt and measures how each layer and head looks back. The result, cache.json in the model's
folder, is what model.options.cache=scalekv (which layers keep more) and hack (which heads keep what) go by. It is no part
of the model: its hash stays.`;

interface Options {
  readonly model: string;
  readonly prompts: string;
  readonly promptSeed: string;
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `tts-var calibrate-cache`: which layers and heads need their past. */
export function register(program: Command): void {
  addOutputFlags(addForceFlag(program.command("calibrate-cache")))
    .description("Identify the layers and heads that look back, for policies of the cache.")
    .option("--model <name>", "Generator: a name or a folder", "embedded")
    .option("--prompts <file|n>", "GenEval metadata file, or a number of generated prompts", "12")
    .option("--prompt-seed <text>", "Seed of generated prompts", "cache")
    .option("-o, --out <file>", "File to write (default: cache.json in the model's folder)")
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      const { classesPath, identifyCache } = await import("../../assemble/calibrate-cache.ts");
      const { loadPrompts } = await import("../../eval/geneval/prompt-source.ts");
      const { openOutputFile, parsedOrUndefined } = await import("../../io/ownership.ts");
      const out = options.out ?? (await classesPath(options.model));
      const prompts = await loadPrompts(options.prompts, options.promptSeed);
      const output = { command: "calibrate-cache", force: options.force ?? false };
      const file = await openOutputFile(out, output, {
        isOurs: (text) => (parsedOrUndefined(text) as { drafters?: unknown } | null)?.drafters !== undefined,
      });
      const progress = createProgress(options.quiet ?? false);
      const classes = await holding([file], async () => {
        const texts = prompts.map(({ prompt }) => prompt);
        const told = (done: number) => progress.status(`${done} of ${texts.length} prompts`);
        const found = await identifyCache(options.model, texts, told);
        await file.write(`${JSON.stringify(found, null, 1)}\n`);
        return found;
      }).finally(() => progress.end());
      if (options.json) printJson({ out, ...classes });
      else {
        const rows = classes.layers.map((layer, index) => ({ ...layer, index }));
        const text = table(rows, [
          { title: "layer", cell: ({ index }) => String(index) },
          { title: "own scale", align: "right", cell: ({ current }) => current.toFixed(3) },
          { title: "selectivity", align: "right", cell: ({ selectivity }) => selectivity.toFixed(3) },
          { title: "z", align: "right", cell: ({ score }) => score.toFixed(2) },
          { title: "keeps more", cell: ({ index }) => (classes.drafters.includes(index) ? "yes" : "") },
        ]);
        printWritten(out, `${text}\n${out}`);
      }
    });
}

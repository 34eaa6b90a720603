import { parse } from "node:path";
import type { Command } from "commander";
import { holding } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import { addForceFlag } from "../flags.ts";
import { printJson, printWritten } from "../output.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var tokens photo.png
  $ tts-var tokens photo.png --model ./infinity-2b --size 0.25M --out photo.tokens.json
  $ tts-var search -p "a photo of a red cup" --tokens photo.tokens.json --tokens-until 4

The image is scaled and cropped to the nearest of the model's sizes, and written as the tokens that the model would have
to draw for it. A search with --tokens draws it again; with --tokens-until K it keeps the first K stages (layout and
colours) and draws the rest anew for the prompt.`;

interface Options {
  readonly out?: string;
  readonly model: string;
  readonly ratio?: string;
  readonly size?: string;
  readonly shape?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `tts-var tokens`: an image as the tokens of a model. */
export function register(program: Command): void {
  addForceFlag(program.command("tokens"))
    .description(
      "Turn an image into the tokens of a model, to draw it again or vary it with search --tokens.",
    )
    .argument("<image>", "PNG, JPEG or WebP file")
    .option("-o, --out <file>", "File to write (default: <image>.tokens.json in the working directory)")
    .option("--model <name>", "Generator: a name or a folder", "embedded")
    .option("--ratio <w:h>", "Width to height (default: the image's)")
    .option("--size <size>", "Megapixels (0.25M) or pixels (512x512) (default: the model's)")
    .option("--shape <id>", "Ratio and size by the model's own name for them")
    .option("--json", "Print one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action(async (image: string, options: Options) => {
      const { encodeImageFile } = await import("../../assemble/encode-image.ts");
      const { openOutputFile, parsedOrUndefined } = await import("../../io/ownership.ts");
      const progress = createProgress(false);
      progress.status("encoding the image");
      const { model, ratio, size, shape: id } = options;
      const out = options.out ?? `${parse(image).name}.tokens.json`;
      const output = { command: "tokens", force: options.force ?? false };
      const file = await openOutputFile(out, output, {
        isOurs: (text) =>
          (parsedOrUndefined(text) as { format?: unknown } | null)?.format === "tts-var-tokens",
        inputs: [image],
      });
      const encoded = await holding([file], async () => {
        const made = await encodeImageFile(image, model, { ratio, size, id });
        await file.write(`${JSON.stringify(made.file, null, 2)}\n`);
        return made;
      })
        .catch((error: unknown) => {
          // To this command the image is an argument, not the data of an evaluation.
          const unreadable = error instanceof TtsVarError && error.code === "EVAL_DATA";
          throw unreadable ? new TtsVarError("USAGE", error.message, { cause: error }) : error;
        })
        .finally(() => progress.end());
      const { width, height } = encoded;
      const { shape, stages } = encoded.file;
      if (options.json) printJson({ schemaVersion: 1, out, model, shape, width, height });
      else printWritten(out, `${out}  ${width}x${height} (${shape}), ${stages.length} stages`);
    });
}

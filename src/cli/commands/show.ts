import type { Command } from "commander";
import type { Recipe } from "../../run/recipe.ts";
import { figure, printJson, printResult } from "../output.ts";

const EXAMPLES = `
Examples:
  $ tts-var show results/runs/cow/best.png
  $ tts-var show results/runs/cow/images/c3.1.png --json

PNG files of tts-var tell how they were made (unless --no-metadata was given), those of some other programs tell their
parameters. Nothing of it is trusted: it is shown, and \`tts-var search --from FILE\` checks it like any configuration.`;

/** `tts-var show`: how was this picture made? */
export function register(program: Command): void {
  program
    .command("show")
    .description("Tell how a picture was made, and the command that makes it again.")
    .argument("<file>", "PNG file")
    .option("--json", "Print one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action(async (file: string, options: { json?: boolean }) => {
      const { readRecipe } = await import("../../run/recipe.ts");
      const { recipe, parameters } = readRecipe(file);
      const pixels =
        recipe?.candidate?.frames === 1 ? await comparePixels(file, recipe.candidate.pixelHash) : null;
      const command = recipe && (await commandOf(recipe));
      if (options.json) printJson({ schemaVersion: 1, file, recipe, parameters, pixels, command });
      else if (recipe) printResult(describe(recipe, pixels, command));
      else printResult(parameters ?? "this picture does not tell how it was made");
    });
}

/** Whether the pixels are still those that were drawn. */
async function comparePixels(file: string, hash: string): Promise<"as drawn" | "changed"> {
  const { decodePng } = await import("../../io/png.ts");
  const { pixelHash } = await import("../../core/image.ts");
  return pixelHash(await decodePng(file)) === hash ? "as drawn" : "changed";
}

/** The command that repeats it; null if this version does not know its settings. */
async function commandOf({ config }: Recipe): Promise<string | null> {
  const { searchSchema } = await import("../../config/schema.ts");
  const { searchArguments, shellLine } = await import("../../config/command-line.ts");
  const parsed = searchSchema.safeParse(config);
  return parsed.success ? shellLine(["npx", "tts-var", ...searchArguments(parsed.data)]) : null;
}

function describe(recipe: Recipe, pixels: string | null, command: string | null): string {
  const { version, config, configHash, models, candidate } = recipe;
  const lines: (readonly [string, string])[] = [
    ...(candidate
      ? [
          [
            "picture",
            `${candidate.id}, score ${figure(candidate.score)}${pixels === null ? "" : `; pixels ${pixels}`}`,
          ] as const,
        ]
      : []),
    ["made by", `tts-var ${version}, configuration ${configHash.slice(0, 8)}`],
    ...Object.entries(models).map(([name, hash]) => [name, hash] as const),
    ["settings", JSON.stringify(config, null, 2)],
    ...(command === null ? [] : [["again", command] as const]),
  ];
  return lines.map(([name, value]) => `${name}: ${value}`).join("\n");
}

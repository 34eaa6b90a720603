import type { Command } from "commander";
import { printJson, printResult } from "../output.ts";

const EXAMPLES = `
Examples:
  $ tts-var report results/runs/cow
  $ tts-var report results/runs/geneval-a --against results/runs/geneval-b
  $ tts-var report results/first-light

Writes report.html into each folder. Of a search: the answer, the tree of candidates, rewards, costs, the command; one file that
needs no other. Of a judged GenEval run or a study: all items with filters by tag and outcome. --against puts another run beside
it, with what flipped between the two.`;

/** `tts-var report`: pages of what was done. */
export function register(program: Command): void {
  program
    .command("report")
    .description("Write report.html into folders of searches, GenEval runs and studies.")
    .argument("<dirs...>", "Folders")
    .option("--against <dir>", "Another GenEval run of the same prompts, to be compared with")
    .option("--force", "Replace a report.html that tts-var is not known to have written")
    .option("--json", "Print one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action(async (dirs: string[], options: { against?: string; force?: boolean; json?: boolean }) => {
      const { reportOn } = await import("../report-folder.ts");
      const pages: string[] = [];
      for (const dir of dirs) {
        pages.push(await reportOn(dir, { against: options.against, force: options.force ?? false }));
      }
      if (options.json) printJson({ schemaVersion: 1, pages });
      else printResult(pages.map((page) => `report  ${page}`).join("\n"));
    });
}

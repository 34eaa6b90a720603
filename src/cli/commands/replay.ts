import type { Command } from "commander";
import { recipeSchema } from "../../config/schema.ts";
import { TtsVarError } from "../../core/errors.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var replay results/runs/20260101-two-dogs-1a2b3c4d
  $ tts-var replay results/runs/cow --json

Runs the strategy of a recorded search again on its recorded scores and features, without any model, and compares every
decision. Exit code 1 and the first difference if it decides otherwise.`;

/** `tts-var replay`: would the search decide the same again? */
export function register(program: Command): void {
  program
    .command("replay")
    .description("Decide a recorded search again from its trace, and report the first difference.")
    .argument("<dir>", "Run folder")
    .option("--json", "Print one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action(async (dir: string, options: { json?: boolean }) => {
      const { readRunRecord, readTrace } = await import("../../run/run-folder.ts");
      const { planConfig } = await import("../../assemble/open-search.ts");
      const { replayTrace } = await import("../../engine/replay.ts");
      const record = await readRunRecord(dir);
      const { rows, tornTail } = await readTrace(dir);
      const parsed = recipeSchema.safeParse(record.config);
      if (!parsed.success)
        throw new TtsVarError("EVAL_DATA", `${dir}/run.json holds no search configuration`);
      const config = parsed.data;
      const planned = await planConfig(config, pluginHost(config.allowDownload, createProgress(true)));
      await planned[Symbol.asyncDispose]();
      const { agreed, difference } = replayTrace(planned.planInput, rows);
      if (options.json) printJson({ schemaVersion: 1, dir, events: rows.length, agreed, difference });
      if (difference) {
        const [was, now] = [difference.recorded, difference.replayed].map(
          (event) => event?.type ?? "nothing",
        );
        throw new TtsVarError(
          "INTERNAL",
          `event ${difference.index + 1} of ${rows.length} differs: recorded ${was}, decided again ${now}` +
            `${tornTail ? "; the trace's last line was cut off" : ""}. The strategy, its options, the model or the reward have changed since, or the trace was edited.`,
          { details: { difference } },
        );
      }
      if (!options.json) printResult(`${agreed} events decided again identically`);
    });
}

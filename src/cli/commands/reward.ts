import type { Command } from "commander";
import { TtsVarError } from "../../core/errors.ts";
import { printJson, printNote, printResult } from "../output.ts";

const EXAMPLES = `
Examples:
  $ tts-var reward check clip
  $ tts-var reward check ./my-reward.mjs
  $ tts-var reward check http://localhost:8400 --options '{"timeoutMs": 5000}'

check scores a small synthetic batch and says in words what is wrong: form, length, order, finiteness, determinism.
It ends with exit code 0 when all is well, else with that of the first problem.`;

interface CheckFlags {
  readonly prompt: string;
  readonly options?: string;
  readonly allowDownload?: boolean;
  readonly json?: boolean;
}

/** `tts-var reward check SPEC`. */
export function register(program: Command): void {
  const reward = program
    .command("reward")
    .description("Check a reward of your own before a search depends on it.");
  reward
    .command("check")
    .description("Score a synthetic batch with a reward and say what is wrong with it.")
    .argument("<spec>", "a reward's name, ./file.mjs|js|cjs|ts, npm:package, or http://host:port")
    .option("-p, --prompt <text>", "prompt of the batch", "a photo of a red car")
    .option("--options <json>", "the reward's options as a JSON object")
    .option("--allow-download", "may fetch weights from a model hub")
    .option("--json", "Print the report as JSON")
    .addHelpText("after", EXAMPLES)
    .action(async (spec: string, flags: CheckFlags) => {
      const { checkReward, describeCheck } = await import("../reward-check.ts");
      const report = await checkReward(spec, {
        prompt: flags.prompt,
        options: parseJson(flags.options),
        host: {
          baseDir: process.cwd(),
          allowDownload: flags.allowDownload ?? false,
          log: (level, message) => {
            if (level !== "debug") printNote(message);
          },
        },
      });
      const [problem] = report.problems;
      if (problem === undefined && flags.json) printJson(report);
      if (!flags.json) printResult(describeCheck(report));
      if (problem !== undefined) throw new TtsVarError("REWARD_FAILED", problem, { details: { ...report } });
    });
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TtsVarError("USAGE", `--options is not JSON: ${text}`, { cause });
  }
}

import { Command, CommanderError } from "commander";
import { exitCodeOf, TtsVarError } from "../core/errors.ts";
import { nearest } from "../core/registry.ts";
import { packageVersion } from "../io/package-root.ts";
import { Interrupted } from "../run/interrupt.ts";
import { COMMANDS } from "./command-table.ts";
import { untilInterrupted, watchInterrupts } from "./interrupt.ts";
import { errorObject, printJson, printNote } from "./output.ts";
import { printable } from "./printable.ts";

const EXAMPLES = `
Examples:
  $ tts-var search --prompt "a photo of a blue dog and a red umbrella" --budget 8
  $ tts-var search --prompt "a photo of a green cup" --strategy best-of-n --seed 1 --json
  $ tts-var plan --budget 16 --strategy tts-var
  $ tts-var list strategies
  $ tts-var search --help

Results go to stdout, progress to stderr. Exit codes: 0 ok, 1 internal error, 2 usage or configuration,
3 model, 4 budget, 5 evaluation incomplete, 130/143 interrupted.`;

/** Builds the program; only the command that `argv` names is really imported, so that help is instant. */
export async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command("tts-var")
    .description("Search among the images that a staged generator could draw, within a budget.")
    .version(packageVersion(), "-V, --version", "Print the version")
    .helpOption("-h, --help", "Show help")
    .helpCommand("help [command]", "Show help for a command")
    .configureHelp({ showGlobalOptions: false, sortOptions: false })
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    .showHelpAfterError("(run with --help for all options and examples)");
  const words = argv.filter((word) => !word.startsWith("-"));
  const wanted = words[0] === "help" ? words[1] : words[0];
  for (const entry of COMMANDS) {
    if (entry.name === wanted) (await entry.load()).register(program);
    else program.command(entry.name).description(entry.summary);
  }
  return program;
}

/** Runs one command line and returns its exit code. A signal ends it soon, whatever it waits for. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const interrupts = watchInterrupts();
  try {
    return await untilInterrupted(perform(argv));
  } catch (error) {
    return report(error, argv);
  } finally {
    interrupts.stop();
  }
}

async function perform(argv: readonly string[]): Promise<number> {
  await expectKnownCommand(argv);
  const program = await buildProgram(argv);
  if (argv.length === 0) {
    program.outputHelp({ error: true });
    return 2;
  }
  await program.parseAsync(argv, { from: "user" });
  return 0;
}

async function expectKnownCommand(argv: readonly string[]): Promise<void> {
  const [first] = argv;
  if (first === undefined || first.startsWith("-") || first === "help") return;
  const known = COMMANDS.map(({ name }) => name);
  if (known.includes(first)) return;
  const close = nearest(first, known);
  throw new TtsVarError(
    "USAGE",
    `unknown command "${first}"${close === undefined ? "" : `; did you mean "${close}"?`} Known: ${known.join(", ")}.`,
  );
}

function report(error: unknown, argv: readonly string[]): number {
  // commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof Interrupted) {
    printNote(error.message);
    return error.exitCode;
  }
  if (argv.includes("--json")) printJson(errorObject(error));
  const message = error instanceof Error ? error.message : String(error);
  printNote(`error: ${printable(message)}`);
  if (!(error instanceof TtsVarError) || process.env["TTS_VAR_DEBUG"]) {
    printNote(error instanceof Error ? (error.stack ?? "") : "");
  }
  return exitCodeOf(error);
}

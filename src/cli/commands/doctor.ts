import { availableParallelism, totalmem } from "node:os";
import type { Command } from "commander";
import { TtsVarError } from "../../core/errors.ts";
import { installedVersion, versionSeenBy } from "../../run/versions.ts";
import { drawOne } from "../draw-one.ts";
import { printJson, printResult, table } from "../output.ts";
import { createProgress } from "../progress.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** What to do; only if it is not ok. */
  readonly remedy?: string;
}

interface Examination {
  readonly name: string;
  /** Returns what was found, or throws with the remedy. */
  readonly run: () => Promise<string>;
}

const EXAMPLES = `
Examples:
  $ tts-var doctor
  $ tts-var doctor --json`;

/** `tts-var doctor`: examines this machine, ends with 0 if everything is in order. */
export function register(program: Command): void {
  program
    .command("doctor")
    .description(
      "Check Node, native libraries, models, a real image and the results folder; say what to mend.",
    )
    .option("--json", "Print a JSON array of {name, ok, found, remedy}")
    .addHelpText("after", EXAMPLES)
    .action(async (options: { json?: boolean }) => {
      const progress = createProgress(false);
      const checks: Check[] = [];
      for (const examination of EXAMINATIONS) {
        progress.status(`checking ${examination.name}`);
        checks.push(await examine(examination));
      }
      progress.end();
      if (options.json) printJson(checks);
      else {
        printResult(
          table(checks, [
            { title: "", cell: (check) => (check.ok ? "ok" : "FAIL") },
            { title: "check", cell: (check) => check.name },
            { title: "found", cell: (check) => check.remedy ?? check.found },
          ]),
        );
      }
      const failed = checks.filter((check) => !check.ok);
      if (failed.length > 0) {
        throw new TtsVarError(
          "MODEL_RUNTIME",
          `${failed.length} of ${checks.length} checks failed: ${failed.map(({ name }) => name).join(", ")}`,
        );
      }
    });
}

const EXAMINATIONS: readonly Examination[] = [
  {
    name: "node",
    run: async () => {
      const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
      if (major < 20 || (major === 20 && minor < 19)) {
        throw new Error(`Node ${process.versions.node} is too old; install 20.19 or newer`);
      }
      return process.versions.node;
    },
  },
  {
    name: "machine",
    run: async () => {
      const gigabytes = totalmem() / 2 ** 30;
      if (gigabytes < 1) throw new Error(`${gigabytes.toFixed(1)} GiB of memory; searches need about 1 GiB`);
      return `${availableParallelism()} cores, ${gigabytes.toFixed(1)} GiB`;
    },
  },
  {
    name: "onnxruntime-node",
    run: async () => {
      const ours = installedVersion("onnxruntime-node");
      const theirs = versionSeenBy("onnxruntime-node", "@xenova/transformers");
      if (ours !== theirs) {
        throw new Error(`two versions in one program (${ours} and ${theirs}); run npm ci in a clean folder`);
      }
      return `${ours}, one copy`;
    },
  },
  {
    name: "models",
    run: async () => {
      const { listEmbeddedModels, openModelFolder } = await import("../../inference/folder/model-folder.ts");
      const folders = await listEmbeddedModels();
      if (folders.length === 0) throw new Error("models/ is empty; restore it with git checkout -- models");
      for (const { dir } of folders) await openModelFolder(dir);
      return `${folders.map(({ name }) => name).join(", ")}: all hashes match`;
    },
  },
  {
    name: "providers",
    run: async () => {
      const { embeddedModelPath } = await import("../../inference/folder/model-folder.ts");
      const { probeProviders } = await import("../../inference/runtime/provider.ts");
      const found = await probeProviders(`${await embeddedModelPath("generator")}/vae_draft.onnx`);
      return [...found].map(([name, why]) => (why === null ? name : `not ${name} (${why})`)).join(", ");
    },
  },
  { name: "one image", run: () => drawOne() },
  {
    name: "results",
    run: async () => {
      const { probeWritable } = await import("../../io/atomic.ts");
      await probeWritable("results/runs");
      return "results/runs is writable";
    },
  },
];

async function examine({ name, run }: Examination): Promise<Check> {
  try {
    return { name, ok: true, found: await run() };
  } catch (error) {
    const remedy = error instanceof Error ? error.message : String(error);
    return { name, ok: false, found: "", remedy };
  }
}

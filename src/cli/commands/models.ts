import type { Command } from "commander";
import { generatorOfFolder } from "../../generators/index.ts";
import {
  embeddedModelPath,
  listEmbeddedModels,
  openModelFolder,
} from "../../inference/folder/model-folder.ts";
import { printJson, printResult, table } from "../output.ts";

const EXAMPLES = `
Examples:
  $ tts-var models list
  $ tts-var models verify
  $ tts-var models verify ./my-exported-model

verify compares every file with the SHA-256 in its manifest; a difference ends with exit code 3 and the file's name.
Folders of exported checkpoints are verified with the files of weights beside their graphs; see docs/infinity.md.`;

/** `tts-var models list|verify`. */
export function register(program: Command): void {
  const models = program
    .command("models")
    .description("List and verify the models at hand.")
    .addHelpText("after", EXAMPLES);
  models
    .command("list")
    .description("List the embedded models: kind, version, size.")
    .option("--json", "Print a JSON array")
    .action(async (options: { json?: boolean }) => {
      const rows = (await listEmbeddedModels()).map(({ name, kind, version, files, modelId }) => ({
        name,
        kind,
        version,
        modelId,
        files: files.length,
        bytes: files.reduce((sum, file) => sum + (file.bytes ?? 0), 0),
      }));
      if (options.json) printJson(rows);
      else {
        printResult(
          table(rows, [
            { title: "name", cell: (row) => row.name },
            { title: "kind", cell: (row) => row.kind },
            { title: "version", cell: (row) => row.version },
            { title: "files", align: "right", cell: (row) => String(row.files) },
            { title: "MB", align: "right", cell: (row) => (row.bytes / 1e6).toFixed(1) },
            { title: "id", cell: (row) => row.modelId },
          ]),
        );
      }
    });
  models
    .command("verify")
    .description("Compare every model file with its hash.")
    .argument("[models...]", "names of embedded models, or folders (default: all embedded ones)")
    .option("--json", "Print a JSON array")
    .action(async (wanted: string[], options: { json?: boolean }) => {
      const dirs =
        wanted.length > 0
          ? await Promise.all(wanted.map((name) => (/[/\\.]/.test(name) ? name : embeddedModelPath(name))))
          : (await listEmbeddedModels()).map(({ dir }) => dir);
      const rows = [];
      for (const dir of dirs) {
        const { name, version, files, modelId, manifest } = await openModelFolder(dir);
        // A generator's manifest says more than hashes: schedules, sizes, costs. It has to make sense too.
        if (manifest["family"] === "infinity") await (await generatorOfFolder(dir)).describe();
        rows.push({ name, version, modelId, files: files.length, ok: true });
      }
      if (options.json) printJson(rows);
      else
        printResult(
          rows.map((row) => `ok  ${row.name} ${row.version}  ${row.files} files  ${row.modelId}`).join("\n"),
        );
    });
}

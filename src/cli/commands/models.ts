import { resolve } from "node:path";
import type { Command } from "commander";
import { generatorOfFolder } from "../../generators/index.ts";
import { ownBytes } from "../../inference/folder/model-files.ts";
import {
  embeddedModelPath,
  listEmbeddedModels,
  openModelFolder,
} from "../../inference/folder/model-folder.ts";
import { drawOne } from "../draw-one.ts";
import { printJson, printResult, table } from "../output.ts";

const EXAMPLES = `
Examples:
  $ tts-var models list
  $ tts-var models verify
  $ tts-var models verify ./my-exported-model --deep

verify compares every file with the SHA-256 in its manifest; a difference ends with exit code 3 and the file's name.
Folders of exported checkpoints are verified with the files of weights beside their graphs; see docs/infinity.md.
--deep also opens the graphs and has each model draw or score one image, which shows whether they are what the manifest
says of them: depths, widths, lengths, sizes.`;

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
        bytes: ownBytes(files),
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
    .option("--deep", "Also load each model and have it draw or score one image")
    .option("--json", "Print a JSON array")
    .action(async (wanted: string[], options: { deep?: boolean; json?: boolean }) => {
      const dirs =
        wanted.length > 0
          ? await Promise.all(wanted.map((name) => (/[/\\.]/.test(name) ? name : embeddedModelPath(name))))
          : (await listEmbeddedModels()).map(({ dir }) => dir);
      const rows = [];
      for (const dir of dirs) {
        const { name, version, kind, files, modelId, manifest } = await openModelFolder(dir);
        // A generator's manifest says more than hashes: shapes, sizes, costs. It has to make sense too.
        if (typeof manifest["family"] === "string") await (await generatorOfFolder(dir)).describe();
        const used = options.deep ? await useOnce(dir, kind) : null;
        rows.push({ name, version, modelId, files: files.length, ok: true, used });
      }
      if (options.json) printJson(rows);
      else
        printResult(
          rows
            .map(
              ({ name, version, files, modelId, used }) =>
                `ok  ${name} ${version}  ${files} files  ${modelId}  ${used ?? "hashes only; --deep also uses the model"}`,
            )
            .join("\n"),
        );
    });
}

/** How a model is put to use: settings of a search in which everything else is cheap. */
const USES = new Map<string, (dir: string) => Readonly<Record<string, string>>>([
  ...[
    ...[
      "infinity",
      "hmar",
      "flexvar",
      "varedit",
      "var",
      "discrete-diffusion",
      "ordered-groups",
      "masked-set",
      "masked-cascade",
    ],
    ...["block-flow", "frames"],
  ].map((family) => [family, (dir: string) => ({ "model.name": dir })] as const),
  [
    "dual-encoder",
    (dir: string) => ({ "model.name": "toy", "reward.name": "clip", "reward.options.model": dir }),
  ],
  [
    "detector",
    (dir: string) => ({ "model.name": "toy", "reward.name": "geneval", "reward.options.detector": dir }),
  ],
]);

/** Families that draw nothing without a picture. */
const EDITORS: ReadonlySet<string> = new Set(["varedit"]);

async function useOnce(dir: string, kind: string): Promise<string> {
  const use = USES.get(kind);
  if (!use) return `hashes only; what to do with a "${kind}" is not known here`;
  return drawOne(use(resolve(dir)), EDITORS.has(kind));
}

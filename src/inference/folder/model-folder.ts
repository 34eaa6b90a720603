import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { unknownName } from "../../core/registry.ts";
import { packageRoot } from "../../io/package-root.ts";
import {
  expectAllListed,
  filesIn,
  hashFile,
  listedFiles,
  type ModelFile,
  refusePointer,
  verifyFile,
} from "./model-files.ts";
import { filesIdentity, manifestIdentity } from "./model-identity.ts";
import { parseJson } from "./read-json.ts";

/** What every manifest has; the families add their own fields. */
const manifestSchema = z.looseObject({
  schemaVersion: z.literal(1),
  name: z.string().min(1),
  version: z.string().min(1),
  kind: z.string().optional(),
  family: z.string().optional(),
});

/** A folder with a model, its manifest, and the assurance that the files are the ones that the manifest means. */
export interface ModelFolder {
  readonly dir: string;
  readonly name: string;
  readonly version: string;
  /** `infinity`, `dual-encoder`, `detector`, ...: which loader the folder is for; "" if it does not say. */
  readonly kind: string;
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly files: readonly ModelFile[];
  /** Identity of everything that can change a result: name and a hash over the manifest, with the hashes of all files. */
  readonly modelId: string;
}

export interface OpenModelOptions {
  /** Compare all files with their hashes (default). Without it only the manifest is read. */
  readonly verify?: boolean;
  /** Accept a folder without manifest.json, as downloaded from a model hub; all its files then make the identity. */
  readonly allowBare?: boolean;
}

/**
 * Opens a model folder: reads `manifest.json` and verifies every file that it lists.
 *
 * @throws TtsVarError MODEL_NOT_FOUND or MODEL_INVALID, naming the file, what was expected and what was found
 */
export async function openModelFolder(dir: string, options: OpenModelOptions = {}): Promise<ModelFolder> {
  const path = resolve(dir);
  const manifestPath = join(path, "manifest.json");
  if (UNFINISHED.test(basename(path))) throw unfinished(path, "its name says that its export did not finish");
  const text = await readFile(manifestPath, "utf8").catch(() => undefined);
  if (text === undefined) {
    if (options.allowBare && existsSync(join(path, "config.json"))) return openBareFolder(path);
    throw await withoutManifest(path, options.allowBare ?? false);
  }
  await refusePointer(manifestPath);
  const manifest = parseWith(manifestSchema, parseJson(text, manifestPath), manifestPath);
  const files = listedFiles(manifest);
  const remedy = remedyFor(path);
  if (files.length === 0) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${manifestPath} lists no files; it must give their SHA-256 hashes`,
    );
  }
  await expectAllListed(path, files, remedy);
  if (options.verify !== false) await verifyAll(path, files, remedy);
  return {
    dir: path,
    name: manifest.name,
    version: manifest.version,
    kind: manifest.kind ?? manifest.family ?? "",
    manifest,
    files,
    modelId: manifestIdentity(manifest),
  };
}

/** Files that are compared at a time. */
const SIDE_BY_SIDE = 4;

async function verifyAll(dir: string, files: readonly ModelFile[], remedy: string): Promise<void> {
  for (let start = 0; start < files.length; start += SIDE_BY_SIDE) {
    const found = await Promise.allSettled(
      files.slice(start, start + SIDE_BY_SIDE).map(async (file) => {
        const at = await modelFile(dir, { file: file.path, of: file.of });
        await verifyFile(at, file, file.of === undefined ? remedy : sharedRemedy(file.of));
      }),
    );
    // The first file that is wrong is the one to tell.
    for (const result of found) if (result.status === "rejected") throw result.reason;
  }
}

/** Exporters build a folder under such a name and rename it when it is complete. */
const UNFINISHED = /\.partial(-|$)/;

function unfinished(dir: string, why: string): TtsVarError {
  return new TtsVarError(
    "MODEL_INVALID",
    `${dir} is no complete model: ${why}; delete it and export (or copy) the model again`,
    { details: { dir } },
  );
}

async function withoutManifest(dir: string, allowBare: boolean): Promise<TtsVarError> {
  const names: string[] = await readdir(dir).catch(() => []);
  const missing = (what: string): TtsVarError =>
    new TtsVarError("MODEL_NOT_FOUND", `there is no model in ${dir}: ${what}`, { details: { dir } });
  if (allowBare && names.length > 0) {
    return missing(
      "config.json is missing, which a folder from a hub has (and manifest.json, which an exported one has); copy all of the folder",
    );
  }
  if (names.some((name) => name.endsWith(".onnx"))) {
    return unfinished(dir, "it has graphs but no manifest.json, which is written last");
  }
  return missing("manifest.json is missing; check the path, or see `tts-var models list`");
}

/**
 * Validates a manifest, or a part of it, against the schema of a model family.
 *
 * @throws TtsVarError MODEL_INVALID with all problems and their places
 */
export function parseWith<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  path: string,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new TtsVarError(
    "MODEL_INVALID",
    `${path} does not fit its schema:\n${z.prettifyError(result.error)}`,
    {
      details: { path, issues: result.error.issues.map(({ path: at, message }) => ({ at, message })) },
    },
  );
}

async function openBareFolder(dir: string): Promise<ModelFolder> {
  const files: ModelFile[] = [];
  for (const path of await filesIn(dir)) {
    await refusePointer(join(dir, path));
    files.push({ path, sha256: await hashFile(join(dir, path)) });
  }
  const name = basename(dir);
  return { dir, name, version: "", kind: "", manifest: {}, files, modelId: filesIdentity(name, files) };
}

/** Identity of a folder without a manifest by the given files: those that a loader reads. */
export async function identityOf(dir: string, name: string, paths: readonly string[]): Promise<string> {
  const files: ModelFile[] = [];
  for (const path of paths) {
    await refusePointer(join(dir, path));
    files.push({ path, sha256: await hashFile(join(dir, path)) });
  }
  return filesIdentity(name, files);
}

/**
 * Where a file of a manifest lies: in the model's folder, or in that of another model which it shares the file `of`.
 *
 * @throws TtsVarError MODEL_NOT_FOUND when there is no such model
 */
export async function modelFile(
  dir: string,
  { file, of }: { readonly file: string; readonly of?: string | undefined },
): Promise<string> {
  if (of === undefined) return join(dir, file);
  const home = await embeddedModelPath(of).catch((cause: unknown) => {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `${join(dir, "manifest.json")} takes ${file} from the model ${of}, which is not here: ${(cause as Error).message}`,
      { cause },
    );
  });
  return join(home, file);
}

function sharedRemedy(of: string): string {
  return `the model shares this file of ${of}, which is another version of it; restore ${of}, or export this model again`;
}

/** The folder `models/` of this package. */
export function embeddedModelsDir(): string {
  return join(packageRoot(), "models");
}

/** Where models are known by name: `models/`, and the `zoo/` of a clone, which the npm package leaves out. */
function namedDirs(): readonly string[] {
  return [embeddedModelsDir(), join(packageRoot(), "zoo")];
}

function remedyFor(dir: string): string {
  const parent = dirname(dir);
  return namedDirs().includes(parent)
    ? `restore it with \`git checkout -- ${basename(parent)}/${basename(dir)}\` or install the package again`
    : "copy the model folder again, or export it again";
}

/** The models that are known by name: every folder in `models/`, and in the `zoo/` of a clone, that has a manifest. */
export async function listEmbeddedModels(): Promise<ModelFolder[]> {
  const folders: ModelFolder[] = [];
  for (const parent of namedDirs()) {
    for (const entry of await readdir(parent, { withFileTypes: true }).catch(() => [])) {
      const dir = join(parent, entry.name);
      if (!entry.isDirectory() || !existsSync(join(dir, "manifest.json"))) continue;
      folders.push(await openModelFolder(dir, { verify: false }));
    }
  }
  return folders.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Folder of a model that is known by name.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN with the nearest known name
 */
export async function embeddedModelPath(name: string): Promise<string> {
  if (/^[\w.-]+$/.test(name)) {
    for (const parent of namedDirs()) {
      const dir = join(parent, name);
      if (existsSync(join(dir, "manifest.json"))) return dir;
    }
  }
  const known = (await listEmbeddedModels()).map((folder) => basename(folder.dir));
  throw unknownName("embedded model", name, known);
}

import { dirname, isAbsolute, relative, resolve } from "node:path";
import { type ConfigTree, getPath, setPath } from "./paths.ts";
import { type ConfigFile, readYamlFile } from "./read-yaml.ts";
import { FILE_SETTINGS, NAMED_PLUGINS, NO_CALIBRATION, PATH_SETTINGS } from "./schema.ts";

/**
 * Reads a YAML (or JSON) configuration. Relative paths in it are relative to the file and come out relative to the
 * working directory.
 *
 * @throws TtsVarError CONFIG_NOT_FOUND, CONFIG_INVALID with line and column
 */
export async function loadConfigFile(path: string): Promise<ConfigFile> {
  const file = await readYamlFile(
    path,
    "configuration",
    "give the path of a YAML file, or see `tts-var list configs`",
  );
  expandNames(file.tree);
  resolveFilePaths(file.tree, dirname(resolve(path)));
  return file;
}

/** `strategy: tts-var` means `strategy: { name: tts-var }`. */
export function expandNames(tree: ConfigTree): void {
  for (const key of NAMED_PLUGINS) {
    if (typeof tree[key] === "string") tree[key] = { name: tree[key] };
  }
}

function resolveFilePaths(tree: ConfigTree, folder: string): void {
  for (const path of [...PATH_SETTINGS, ...FILE_SETTINGS]) {
    const value = getPath(tree, path);
    if (typeof value !== "string" || value === "" || isAbsolute(value)) continue;
    if (path === "calibration" && value === NO_CALIBRATION) continue;
    if (!FILE_SETTINGS.includes(path) && !/^\.\.?\//.test(value)) continue;
    const fromHere = relative(process.cwd(), resolve(folder, value)).split("\\").join("/");
    setPath(tree, path, fromHere.startsWith("..") ? fromHere : `./${fromHere}`);
  }
}

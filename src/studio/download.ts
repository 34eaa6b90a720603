import { readFile } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { zip } from "fflate";
import { stringify } from "yaml";
import { type ConfigTree, deletePath, getPath, setPath } from "../config/paths.ts";
import { FILE_SETTINGS, NO_CALIBRATION, PATH_SETTINGS } from "../config/schema.ts";
import type { RunRecord } from "../run/run-folder.ts";
import type { RunsFolder } from "./runs-folder.ts";

/** Where the files that a run read lie in its archive. */
const INPUTS = {
  "task.keep": "kept-tokens.json",
  "task.source": "source.png",
  "task.mask": "mask.png",
} as const;

/**
 * The configuration of a run for `tts-var search --config`, which repeats it to the pixel. Paths are absolute.
 *
 * @param inputs names of the files that travel with it, by setting
 */
export function configFile({ config }: RunRecord, inputs: Readonly<Record<string, string>> = {}): string {
  const tree = structuredClone(config) as ConfigTree;
  deletePath(tree, "out");
  for (const path of [...FILE_SETTINGS, ...PATH_SETTINGS]) {
    const value = getPath(tree, path);
    if (typeof value !== "string" || isAbsolute(value) || value === NO_CALIBRATION) continue;
    if (FILE_SETTINGS.includes(path) || /^\.\.?\//.test(value)) setPath(tree, path, resolve(value));
  }
  for (const [path, name] of Object.entries(inputs)) {
    if (getPath(tree, path) !== undefined) setPath(tree, path, `./${name}`);
  }
  return `# repeat it: tts-var search --config FILE\n${stringify(tree)}`;
}

/** All files of a run, and a configuration that repeats it. @throws TtsVarError USAGE when there is no such run */
export async function zipOf(folder: RunsFolder, id: string): Promise<Uint8Array> {
  const record = await folder.record(id);
  const entries: Record<string, Uint8Array> = {};
  for (const name of ["run.json", ...record.files]) {
    const bytes = await folder.file(id, name).catch(() => null);
    if (bytes) entries[`${id}/${name}`] = bytes;
  }
  for (const [path, name] of Object.entries(INPUTS)) {
    const file = getPath(record.config as ConfigTree, path);
    if (typeof file === "string") entries[`${id}/${name}`] = await readFile(file);
  }
  entries[`${id}/search.yaml`] = Buffer.from(configFile(record, INPUTS));
  return new Promise((done, fail) => {
    // Pictures are compressed already.
    zip(entries, { level: 1 }, (error, data) => (error ? fail(error) : done(data)));
  });
}

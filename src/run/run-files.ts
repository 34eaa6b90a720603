import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import type { CandidateId } from "../core/ids.ts";
import { parsedOrUndefined } from "../io/ownership.ts";

/** Files that every run begins with. */
export const STREAMS = ["trace.jsonl", "timing.jsonl"];
const RESULTS = [
  "candidates.jsonl",
  "metrics.json",
  "best.png",
  "sheet.png",
  "grid.png",
  "previews.jsonl",
  "report.html",
];
/** Files by candidate; clips have an image of each frame besides, previews one of each stage. */
const PER_CANDIDATE = {
  images: /^c\d+(\.\d+)*(-\d+)?\.png$/,
  tokens: /^c\d+(\.\d+)*\.json$/,
  previews: /^\d+-c\d+(\.\d+)*\.png$/,
} as const;

/** File with a candidate's tokens, as far as it has come. */
export function tokensName(id: CandidateId): string {
  return `tokens/${id}.json`;
}

/** File with the picture of a candidate after a stage. */
export function previewName(stage: number, id: CandidateId): string {
  return `previews/${stage}-${id}.png`;
}

/** Files of an earlier run in the folder, its `run.json` included; none if there was none. */
export function earlierFiles(dir: string): string[] {
  const path = join(dir, "run.json");
  const before = existsSync(path) ? parsedOrUndefined(readFileSync(path, "utf8")) : undefined;
  const { program, files } = (before ?? {}) as { program?: unknown; files?: unknown };
  if (program !== "tts-var" || !Array.isArray(files)) return [];
  return [...files.filter(isResultName), "run.json"];
}

/** Whether a run may have written it; a list that was edited must not lead elsewhere. */
function isResultName(name: unknown): name is string {
  if (typeof name !== "string") return false;
  const [folder = "", file = ""] = name.split("/");
  if (folder === "images" || folder === "tokens" || folder === "previews")
    return name.split("/").length === 2 && PER_CANDIDATE[folder].test(file);
  return [...STREAMS, ...RESULTS].includes(name);
}

/** What stands where a run would write, whoever wrote it. */
export function standing(dir: string): string[] {
  const single = ["run.json", ...STREAMS, ...RESULTS].filter((name) => isThere(join(dir, name)));
  const folders = Object.keys(PER_CANDIDATE).flatMap((name) => {
    const entry = lstatSync(join(dir, name), { throwIfNoEntry: false });
    if (entry === undefined) return [];
    if (!entry.isDirectory()) return [name];
    return readdirSync(join(dir, name))
      .map((file) => `${name}/${file}`)
      .filter(isResultName);
  });
  return [...single, ...folders];
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

export function removeFiles(dir: string, names: readonly string[]): void {
  for (const name of names) rmSync(join(dir, name), { force: true });
  for (const folder of Object.keys(PER_CANDIDATE)) {
    try {
      rmdirSync(join(dir, folder));
    } catch {
      // Others have put something there, or there is none.
    }
  }
}

/** @throws USAGE */
export function expectNoInput(dir: string, removed: readonly string[], inputs: readonly string[]): void {
  const lost = removed
    .map((name) => join(dir, name))
    .filter(isThere)
    .map((path) => resolveReal(path));
  const input = inputs.find((path) => existsSync(path) && lost.includes(realpathSync(path)));
  if (input === undefined) return;
  throw new TtsVarError(
    "USAGE",
    `--out ${dir} would replace the run that ${input} belongs to, which this search reads; choose another --out`,
  );
}

function resolveReal(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

import type { Dirent } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FoundImage, FoundSet } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { withoutMark } from "../../io/jsonl.ts";
import { parseMetadata, parseMetadataFile } from "./metadata.ts";
import type { GenevalMetadata } from "./rules.ts";

/** The official evaluator reads `0000.png` only; other programs write `image_0.png`, `0.jpg`, `0000.PNG`. */
const imageName = /^(?:[a-z]+[ _-]?)?(\d+)\.(?:png|jpe?g|webp|tiff?|gif|avif)$/i;
/** The same beside one list of prompts: number of the prompt, then of the sample. */
const flatName = /^(?:[a-z]+[ _-]?)?(\d+)(?:[_-](\d+))?\.(?:png|jpe?g|webp|tiff?|gif|avif)$/i;
const gridName = /^grid(?:[ _-]?\d+)?\./i;
/** Lists of prompts that a flat folder may have: ours, the official one. */
const promptLists = ["prompts.jsonl", "evaluation_metadata.jsonl", "metadata.jsonl"];

/** Number within its folder and place of an image file. */
interface Numbered {
  readonly number: number;
  readonly sample: number;
  readonly name: string;
}

/**
 * Lists a folder of images: by prompt in folders of digits (with or without `samples`), or flat beside a list of prompts.
 * Whatever else looks like an image is named as ignored.
 *
 * @throws EVAL_DATA when the folder is missing, holds no prompts, or a metadata file is bad
 */
export async function scanFolder(dir: string): Promise<FoundSet<GenevalMetadata>> {
  const entries = await list(dir);
  const isPrompt = (entry: Dirent): boolean => /^\d+$/.test(entry.name) && !entry.isFile();
  const folders = entries.filter(isPrompt).map(({ name }) => name);
  if (folders.length === 0) return scanFlat(dir, entries);
  const items = new Map<number, GenevalMetadata>();
  const images: FoundImage<GenevalMetadata>[] = [];
  const ignored = entries
    .filter((entry) => !isPrompt(entry) && (imageName.test(entry.name) || entry.isDirectory()))
    .map(({ name }) => `${name} (not in the folder of a prompt)`);
  for (const folder of folders.sort((a, b) => Number(a) - Number(b))) {
    const index = Number(folder);
    if (items.has(index)) {
      ignored.push(`${folder} (a second folder of prompt ${index})`);
      continue;
    }
    const item = await readPromptMetadata(join(dir, folder, "metadata.jsonl"));
    items.set(index, item);
    const found = await samplesOf(dir, folder, ignored);
    images.push(...found.map(({ number, name }) => ({ index, sample: number, filename: name, item })));
  }
  return { images, items, ignored };
}

/** Images of one prompt: in `samples`, or else beside its metadata. */
async function samplesOf(dir: string, folder: string, ignored: string[]): Promise<Numbered[]> {
  const beside = (await list(join(dir, folder))).filter(
    ({ name }) => imageName.test(name) && !gridName.test(name),
  );
  const samples = await list(join(dir, folder, "samples")).catch(() => []);
  const within = `${folder}/samples`;
  if (samples.length === 0) return numbered(dir, folder, beside, imageName, ignored);
  ignored.push(...beside.map(({ name }) => `${folder}/${name} (beside the folder ${within}, which counts)`));
  return numbered(dir, within, samples, imageName, ignored);
}

async function scanFlat(dir: string, entries: readonly Dirent[]): Promise<FoundSet<GenevalMetadata>> {
  const lists = promptLists.filter((name) => entries.some((entry) => entry.name === name));
  const pictures = entries.filter(({ name }) => flatName.test(name));
  if (pictures.length === 0 || lists.length === 0) {
    throw new TtsVarError(
      "EVAL_DATA",
      `${dir} is no GenEval image folder: it holds no folders named by digits (00000/metadata.jsonl, 00000/samples/0000.png, ...)` +
        (pictures.length === 0
          ? ""
          : `, and its ${pictures.length} images need ${promptLists[0]} beside them (metadata of image N in line N + 1)`),
    );
  }
  const path = join(dir, lists[0]!);
  const rows = parseMetadataFile(await readText(path), path);
  const ignored: string[] = [];
  const found = await numbered(dir, "", pictures, flatName, ignored);
  const images = found.flatMap(({ number: index, sample, name }): FoundImage<GenevalMetadata>[] => {
    const item = rows[index];
    if (item) return [{ index, sample, filename: name, item }];
    ignored.push(`${name} (${lists[0]} has ${rows.length} lines only)`);
    return [];
  });
  return { images, items: new Map(rows.entries()), ignored };
}

/** Image files by number; the others are named in `ignored`. */
async function numbered(
  dir: string,
  folder: string,
  entries: readonly Dirent[],
  pattern: RegExp,
  ignored: string[],
): Promise<Numbered[]> {
  const found = new Map<string, Numbered>();
  const official = ({ name }: Dirent): number => Number(/^\d+\.png$/.test(name));
  const ordered = [...entries].sort((a, b) => official(b) - official(a) || (a.name < b.name ? -1 : 1));
  for (const entry of ordered) {
    const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
    const [, number, sample = "0"] = pattern.exec(entry.name) ?? [];
    const why =
      number === undefined ? "not an image named by its number" : await whyNoFile(join(dir, name), entry);
    if (number === undefined || why !== null) {
      ignored.push(`${name} (${why})`);
      continue;
    }
    const key = `${Number(number)}/${Number(sample)}`;
    const other = found.get(key);
    if (other) ignored.push(`${name} (the same number as ${other.name})`);
    else found.set(key, { number: Number(number), sample: Number(sample), name });
  }
  return [...found.values()].sort((a, b) => a.number - b.number || a.sample - b.sample);
}

async function whyNoFile(path: string, entry: Dirent): Promise<string | null> {
  if (entry.isFile()) return null;
  const target = await stat(path).catch(() => null);
  if (target === null) return "a link to nothing";
  return target.isFile() ? null : "not a file";
}

async function readPromptMetadata(path: string): Promise<GenevalMetadata> {
  const text = withoutMark(await readText(path));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badMetadata(path, error);
  }
  return parseMetadata(value, path);
}

async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error) => {
    throw badMetadata(path, error);
  });
}

function badMetadata(path: string, cause: unknown): TtsVarError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TtsVarError("EVAL_DATA", `${path}: must hold one GenEval metadata object (${reason})`, {
    cause,
  });
}

async function list(dir: string): Promise<Dirent[]> {
  return readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("EVAL_DATA", `cannot read the folder ${dir} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
}

import type { RgbImage } from "./image.ts";

/**
 * What a benchmark asks for: a row of its own file. Plain data, because it travels to workers, reaches rewards as the
 * task's metadata, and is its own identity (`itemKey`).
 */
export interface BenchmarkItem {
  readonly prompt: string;
  /** Group of items that tables report: GenEval's task, WISE's field, the number of atoms. */
  readonly tag: string;
}

/** One question about an image. */
export interface Question {
  readonly question: string;
  readonly expected: string;
  /** What it tests: object, count, color, position, verb, text, ... */
  readonly skill: string;
  /** Places, in the same list, of the questions without which this one has no meaning. */
  readonly parent: readonly number[];
}

/** A question, and how far the image gives its expected answer. */
export interface Atom extends Question {
  /** 0 or 1 by detectors, a probability by language models. */
  readonly p: number;
}

export interface ImageVerdict {
  readonly correct: boolean;
  /** Why not, for people; empty if correct. */
  readonly reason: string;
  readonly atoms: readonly Atom[];
  /** Whatever else the judge saw, as JSON. */
  readonly details: unknown;
}

/** Opened models that answer a benchmark's questions. */
export interface Judge<Item extends BenchmarkItem = BenchmarkItem> extends AsyncDisposable {
  /** Who judges: `name@sha8`, and whatever differs from the official judge's settings. Verdicts are kept by it. */
  readonly id: string;
  /** FLOPs per image. */
  readonly flops: number;
  judge(samples: readonly { readonly item: Item; readonly image: RgbImage }[]): Promise<ImageVerdict[]>;
}

/** An image of an evaluation's folder. */
export interface FoundImage<Item extends BenchmarkItem = BenchmarkItem> {
  /** Number of its item. */
  readonly index: number;
  readonly sample: number;
  /** Relative to the folder, with forward slashes. */
  readonly filename: string;
  readonly item: Item;
}

/** What a folder of images holds. */
export interface FoundSet<Item extends BenchmarkItem = BenchmarkItem> {
  /** Sorted by item and sample. */
  readonly images: readonly FoundImage<Item>[];
  /** Items that the folder knows, images or not, by number. */
  readonly items: ReadonlyMap<number, Item>;
  /** What looks like a part of the set but is not read: path and reason. */
  readonly ignored: readonly string[];
}

export interface GridFile {
  readonly path: string;
  readonly columns: number;
  /** Pixels between and around the samples. */
  readonly gap: number;
}

/** Where a benchmark's official judge looks for its files: paths relative to the folder, with forward slashes. */
export interface BenchmarkLayout<Item extends BenchmarkItem = BenchmarkItem> {
  image(index: number, sample: number, item: Item): string;
  /** Number of the item and of the sample that a result's file name tells; null where it does not. */
  place(filename: string): { readonly index: number | null; readonly sample: number | null };
  /** Files beside the images that tell its judge what they are: path and content. */
  files(items: readonly Item[], samples: number): readonly (readonly [path: string, content: string])[];
  /** All samples of an item in one picture, row by row on white; null: the benchmark has no such file. */
  grid(index: number, item: Item): GridFile | null;
  /** Numbers of samples that its files can hold; absent: any. */
  readonly samples?: readonly number[];
  /** Lists a folder, our own or another program's. Without it, images are looked for where `prompts.jsonl` puts them. */
  find?(dir: string): Promise<FoundSet<Item>>;
}

/** An item that brings its questions, for judges that answer any: language models, or detectors that can read them. */
export interface QuestionItem extends BenchmarkItem {
  readonly questions: readonly Question[];
}

/** A judged image, as far as figures of the whole set need it. */
export interface JudgedImage<Item extends BenchmarkItem = BenchmarkItem> {
  readonly item: Item;
  readonly correct: boolean;
  readonly atoms: readonly Atom[];
}

/** A figure of the whole set that no image has alone: a pooled ratio, another aggregate. */
export interface SetFigure {
  readonly name: string;
  readonly value: number;
}

/**
 * How tags make the overall score: each as much as the others (GenEval), by their numbers of images (GenEval 2, DPG-Bench),
 * or by weights of the tags that occur (WISE).
 */
export type Overall = "tags" | "images" | Readonly<Record<string, number>>;

/**
 * A benchmark without its models: what is asked for, where images go, and what the answers amount to. Its judge holds
 * models and is opened apart, so that images can be made here and judged elsewhere.
 */
export interface Benchmark<Item extends BenchmarkItem = BenchmarkItem> {
  readonly name: string;
  /** As tables call it: "GenEval". */
  readonly title: string;
  /** Tags in the order of tables; others come after them. */
  readonly tags: readonly string[];
  readonly layout: BenchmarkLayout<Item>;
  /** Default: "tags". */
  readonly overall?: Overall;
  /** Figures of the whole set, where rows list their atoms. */
  figures?(images: readonly JudgedImage<Item>[]): readonly SetFigure[];
  /** Whether result rows list scores and atoms; false where the official format has no place for them. */
  readonly atomsInResults: boolean;
  /** Items of a file, or a number of generated ones. */
  items(source: string, seed: string): Promise<readonly Item[]>;
  /** @throws EVAL_DATA naming `where` and the field */
  parse(row: unknown, where: string): Item;
  /** Score of one image, from 0 to 1: see `atoms.ts`. */
  aggregate(atoms: readonly Atom[]): number;
}

/** Identity of an item: its JSON text, whatever the spacing of the file it came from. */
export function itemKey(item: BenchmarkItem): string {
  return JSON.stringify(item);
}

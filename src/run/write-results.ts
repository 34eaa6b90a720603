import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { PlannedSearch } from "../assemble/open-search.ts";
import type { SearchRecipe } from "../config/schema.ts";
import type { Picture } from "../core/generator.ts";
import type { RgbImage } from "../core/image.ts";
import type { Tokens } from "../core/tokens.ts";
import type { TraceEvent } from "../core/trace.ts";
import type { SearchResult } from "../engine/run-search.ts";
import { packTokens } from "../generators/tokens-file.ts";
import { encodeClip } from "../io/apng.ts";
import { loadSharp } from "../io/png.ts";
import { withTexts } from "../io/png-text.ts";
import { type ContactSheet, renderContactSheet, sheetKey } from "../report/contact-sheet.ts";
import { renderGrid } from "../report/grid.ts";
import { PREVIEWS_FILE } from "../report/previews.ts";
import { answersOf } from "./answers.ts";
import { type Recipe, recipeOf, recipeTexts } from "./recipe.ts";
import { tokensName } from "./run-files.ts";
import type { RunFolder } from "./run-folder.ts";
import { type CandidateRow, type RunMetrics, type SearchSummary, summaryOf } from "./summary.ts";
import { hasPreviews, modelOfResult, REPORT_FILE, writeRunReport } from "./write-report.ts";

/** Loads what writes results while models are loading elsewhere; whoever needs it waits for it then. */
export function prepareWriting({ report }: Pick<SearchRecipe, "report">): void {
  void loadSharp().catch(() => undefined);
  if (report !== "none") void import("../report/render-report.ts").catch(() => undefined);
}

/**
 * Writes images (of clips also every frame, and all as an animated PNG), tokens, `candidates.jsonl`, `metrics.json`, `best.png`, `sheet.png` and `grid.png` of a finished search.
 *
 * @throws TtsVarError OUTPUT_UNWRITABLE
 */
export async function writeSearchResults(
  folder: RunFolder,
  planned: PlannedSearch,
  result: SearchResult,
  seen: { readonly events: readonly TraceEvent[]; readonly images: ReadonlyMap<string, RgbImage> },
): Promise<SearchSummary> {
  const { config, plan } = planned;
  const reward = config.reward.name;
  const rows: CandidateRow[] = [];
  await folder.announce(filesOf(planned, result));
  for (const { id, parent, image, picture, pixelHash, tokens, scores, details } of result.candidates) {
    const saved = await saveTokens(folder, planned, id, tokens);
    const texts = textsOf(folder, planned, {
      id,
      pixelHash,
      frames: picture.frames.length,
      score: scores[reward]!,
    });
    const frames = await saveFrames(folder, id, picture, texts);
    const path = await folder.image(id, image, texts);
    rows.push({ id, parent, scores, details, image: path, ...frames, pixelHash, tokens: saved });
  }
  await folder.candidates(rows.map((row) => ({ ...row })));
  const best = rows.find(({ id }) => id === result.best.id)!;
  await folder.file("best.png", await readFile(join(folder.dir, best.image)));
  if (best.clip !== undefined) await folder.file(BEST_CLIP, await readFile(join(folder.dir, best.clip)));
  const chosen = config.keep === undefined ? undefined : answersOf(result, planned);
  const metrics: RunMetrics = {
    schemaVersion: 1,
    best: best.id,
    reward,
    score: best.scores[reward]!,
    pixelHash: best.pixelHash,
    candidates: rows.length,
    ...(result.task.drawn === undefined ? {} : { drawn: result.task.drawn }),
    ...(chosen === undefined ? {} : { bestK: chosen.map(({ id }) => id) }),
    budget: {
      limit: result.units,
      spent: result.spending.total / plan.unit,
      flops: {
        unit: plan.unit,
        limit: result.limit,
        total: result.spending.total,
        byKind: result.spending.byKind,
        byScale: result.spending.byStage,
      },
    },
  };
  await folder.metrics({ ...metrics, stages: result.stages });
  if (chosen !== undefined) await folder.file("grid.png", await renderGrid(chosen.map(({ image }) => image)));
  const images = new Map(seen.images);
  const last = planned.generator.stages.length - 1;
  for (const { id, image } of result.candidates) images.set(sheetKey(last, id), image);
  if (hasPreviews(config)) {
    const model = modelOfResult(folder, planned, result, seen.events);
    // Both compress pictures, outside this thread.
    await Promise.all([
      config.sheet === "none" ? undefined : writeSheet(folder, planned, { model, images }),
      writeRunReport(folder, config, model, { best: result.best.image, images }),
    ]);
  }
  return summaryOf(folder.dir, config, rows, metrics);
}

async function writeSheet(folder: RunFolder, planned: PlannedSearch, shown: ContactSheet): Promise<void> {
  const sheet = await renderContactSheet(shown);
  await folder.file("sheet.png", withTexts(sheet, textsOf(folder, planned, null)));
}

/** All that will be written, so that a folder knows its files even if the program is killed meanwhile. */
function filesOf({ config }: PlannedSearch, { candidates }: SearchResult): string[] {
  return [
    ...["candidates.jsonl", "metrics.json", "best.png"],
    ...(candidates.some(({ picture }) => picture.frames.length > 1) ? [BEST_CLIP] : []),
    ...(config.sheet === "none" ? [] : ["sheet.png"]),
    ...(config.keep === undefined ? [] : ["grid.png"]),
    ...(hasPreviews(config) ? [PREVIEWS_FILE] : []),
    ...(config.report === "none" ? [] : [REPORT_FILE]),
    ...candidates.flatMap(({ id, picture }) => [
      `images/${id}.png`,
      ...framesOf(id, picture).map((name) => `images/${name}.png`),
      ...(picture.frames.length === 1 ? [] : [clipName(id)]),
      tokensName(id),
    ]),
  ];
}

/** The answer of a search for clips, animated. */
const BEST_CLIP = "best-clip.png";
const clipName = (id: string): string => `images/${id}-clip.png`;

/** Names of a clip's frames; a still has none. */
function framesOf(id: string, { frames }: Picture): string[] {
  return frames.length === 1 ? [] : frames.map((_, index) => `${id}-${index}`);
}

async function saveTokens(
  folder: RunFolder,
  { generator }: PlannedSearch,
  id: string,
  tokens: readonly Tokens[],
): Promise<string> {
  const path = tokensName(id);
  await folder.file(path, `${JSON.stringify(packTokens(generator, tokens), null, 1)}\n`);
  return path;
}

/** What a picture of the search tells of its making. */
function textsOf(
  folder: RunFolder,
  { config, task, generator }: PlannedSearch,
  candidate: Recipe["candidate"],
): Record<string, string> {
  if (!config.metadata) return {};
  const { prompt, negativePrompt, seed } = task;
  const [strategy, reward, budget] = [config.strategy.name, config.reward.name, config.budget];
  const facts = { prompt, negativePrompt, seed, strategy, reward, budget };
  return recipeTexts(recipeOf(folder.record, candidate), facts, generator);
}

async function saveFrames(
  folder: RunFolder,
  id: string,
  picture: Picture,
  texts: Readonly<Record<string, string>>,
): Promise<{ frames?: string[]; clip?: string }> {
  const names = framesOf(id, picture);
  if (names.length === 0) return {};
  const paths: string[] = [];
  for (const [index, name] of names.entries()) {
    paths.push(await folder.image(name, picture.frames[index]!, texts));
  }
  const clip = clipName(id);
  await folder.file(clip, withTexts(await encodeClip(picture.frames), texts));
  return { frames: paths, clip };
}

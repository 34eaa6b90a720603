import type { PlannedSearch } from "../assemble/open-search.ts";
import { type SearchRecipe, searchSchema } from "../config/schema.ts";
import type { RgbImage } from "../core/image.ts";
import type { TraceEvent } from "../core/trace.ts";
import type { SearchResult } from "../engine/run-search.ts";
import { PREVIEWS_FILE, packAnswer, packPreviews, previewsOf } from "../report/previews.ts";
import { type ReportModel, reportModel } from "../report/report-model.ts";
import { verdictOf } from "./reward-verdict.ts";
import type { RunFolder } from "./run-folder.ts";

/** File of a run with all there is to see of it. */
export const REPORT_FILE = "report.html";

/** Whether a run keeps its previews: those who want to see neither sheet nor report want none. */
export function hasPreviews({ sheet, report }: Pick<SearchRecipe, "sheet" | "report">): boolean {
  return sheet !== "none" || report !== "none";
}

/**
 * Writes `previews.jsonl`, what the search looked at in small, and `report.html`, unless the configuration leaves it out.
 *
 * @param seen the answer, and pictures by stage and candidate, the finished ones among them
 * @throws TtsVarError OUTPUT_UNWRITABLE
 */
export async function writeRunReport(
  folder: RunFolder,
  { report }: Pick<SearchRecipe, "report">,
  model: ReportModel,
  seen: { readonly best: RgbImage; readonly images: ReadonlyMap<string, RgbImage> },
): Promise<void> {
  const images = [...seen.images]
    .map(([key, image]) => {
      const [stage = "", id = ""] = key.split(" ");
      return { stage: Number(stage), id, image };
    })
    // Later stages first: they are the last to be left out.
    .sort((a, b) => b.stage - a.stage);
  const previews = await packPreviews(images);
  await folder.file(PREVIEWS_FILE, previews.map((row) => `${JSON.stringify(row)}\n`).join(""));
  if (report === "none") return;
  const { renderReport } = await import("../report/render-report.ts");
  const answer = await packAnswer(seen.best);
  await folder.file(REPORT_FILE, renderReport(model, { answer, preview: previewsOf(previews) }));
}

/** What can be shown of a search that has just finished. */
export function modelOfResult(
  folder: RunFolder,
  { config, task, plan }: PlannedSearch,
  result: SearchResult,
  events: readonly TraceEvent[],
): ReportModel {
  const whole = { ...config, task: { ...config.task, prompt: config.task.prompt ?? task.prompt } };
  return reportModel({
    record: { ...folder.record, status: "done", config: searchSchema.parse(whole) },
    events,
    candidates: result.candidates.map(({ id, scores, details }) => ({
      id,
      scores,
      ...verdictOf(details[config.reward.name]),
    })),
    budget: {
      units: result.units,
      spent: result.spending.total / plan.unit,
      unit: plan.unit,
      byKind: result.spending.byKind,
    },
    costs: result.stages,
  });
}

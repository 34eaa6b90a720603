import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { searchSchema } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type { TraceEvent } from "../core/trace.ts";
import { readJsonl } from "../io/jsonl.ts";
import { decodePng } from "../io/png.ts";
import { packAnswer, previewsOf, readPreviews } from "../report/previews.ts";
import type { ReportPictures } from "../report/render-report.ts";
import { type ReportInput, type ReportModel, reportModel } from "../report/report-model.ts";
import { verdictOf } from "./reward-verdict.ts";
import { readRunRecord, readTrace } from "./run-folder.ts";

const id = z.string().regex(/^c\d+(\.\d+)*$/);
const ids = z.array(id);

/** What a page relies on of every event; its own fields are read where they are used. */
const eventShape = z.looseObject({
  type: z.string(),
  stage: z.int().min(0).max(100_000).optional(),
  ids: ids.optional(),
  best: id.optional(),
  finalists: ids.optional(),
  raw: z.array(z.number()).optional(),
});

const candidateShape = z.looseObject({
  id,
  scores: z.record(z.string(), z.number()),
  details: z.record(z.string(), z.unknown()).default({}),
});

const flops = z.record(z.string(), z.number());
const metricsShape = z.looseObject({
  budget: z.looseObject({
    limit: z.number(),
    spent: z.number(),
    flops: z.looseObject({ unit: z.number(), byKind: flops }),
  }),
  stages: z.array(z.looseObject({ stage: z.int().min(0), label: z.string(), flops })).default([]),
});

/**
 * Reads a run folder for its report. Runs that did not finish, and those of earlier versions, have less to show.
 *
 * @throws TtsVarError EVAL_DATA if the folder is none of a search, or its files are damaged
 */
export async function readReport(dir: string): Promise<{ model: ReportModel; pictures: ReportPictures }> {
  const record = await readRunRecord(dir);
  const config = searchSchema.safeParse(record.config);
  if (!config.success) throw damaged(dir, "run.json", config.error);
  const candidates = await readCandidates(dir, config.data.reward.name);
  const metrics = await readMetrics(dir);
  const input: ReportInput = {
    record: { ...record, config: config.data },
    events: await readEvents(dir),
    candidates,
    budget: metrics && {
      units: metrics.budget.limit,
      spent: metrics.budget.spent,
      unit: metrics.budget.flops.unit,
      byKind: metrics.budget.flops.byKind,
    },
    costs: metrics?.stages ?? [],
  };
  const best = join(dir, "best.png");
  const answer = existsSync(best) ? await packAnswer(await decodePng(best)) : null;
  const pictures = { answer, preview: previewsOf(await readPreviews(dir)) };
  return { model: reportModel(input), pictures };
}

async function readEvents(dir: string): Promise<TraceEvent[]> {
  const { rows } = await readTrace(dir);
  const [first] = rows as { schemaVersion?: unknown }[];
  if (first && first.schemaVersion !== 2)
    throw new TtsVarError(
      "EVAL_DATA",
      `${dir}/trace.jsonl has another schema; the version that wrote it reads it`,
    );
  const wrong = rows.map((row) => eventShape.safeParse(row)).find(({ success }) => !success);
  if (wrong?.error) throw damaged(dir, "trace.jsonl", wrong.error);
  return rows;
}

async function readCandidates(dir: string, reward: string): Promise<ReportInput["candidates"]> {
  const path = join(dir, "candidates.jsonl");
  if (!existsSync(path)) return [];
  const { rows } = await readJsonl(path);
  const parsed = z.array(candidateShape).safeParse(rows);
  if (!parsed.success) throw damaged(dir, "candidates.jsonl", parsed.error);
  return parsed.data.map(({ details, ...row }) => ({ ...row, ...verdictOf(details[reward]) }));
}

async function readMetrics(dir: string): Promise<z.output<typeof metricsShape> | null> {
  const path = join(dir, "metrics.json");
  if (!existsSync(path)) return null;
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch {
    value = null;
  }
  const parsed = metricsShape.safeParse(value);
  if (!parsed.success) throw damaged(dir, "metrics.json", parsed.error);
  return parsed.data;
}

function damaged(dir: string, name: string, { issues: [issue] }: z.ZodError): TtsVarError {
  const where = issue!.path.join(".");
  return new TtsVarError(
    "EVAL_DATA",
    `${join(dir, name)} is not of a search by this version of tts-var (${where === "" ? "" : `${where}: `}${issue!.message})`,
  );
}

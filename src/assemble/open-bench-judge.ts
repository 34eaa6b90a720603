import { resolve } from "node:path";
import type { Benchmark, Judge } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import type { HomeItem } from "../eval/benchmarks/home-geneval-2.ts";
import { officialOptions } from "../eval/geneval/rules.ts";
import { openDetector, openJudge } from "./open-judge.ts";

/** Who is to judge: nothing (the benchmark's default), a detector, a folder, or an OpenAI-compatible endpoint. */
export interface BenchJudgeChoice {
  readonly judge?: string | undefined;
  /** Model behind an endpoint. */
  readonly model?: string | undefined;
  readonly apiKeyVariable?: string | undefined;
  readonly concurrency?: number | undefined;
}

/** Benchmarks whose items bring questions, so that a language model can judge them. */
const asked = ["geneval-2", "home-geneval-2", "dpg"];

/**
 * Opens a judge for a benchmark. Whether it can judge that one is decided before any model is loaded.
 *
 * @throws USAGE when it cannot, saying who can; MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function openBenchJudge(
  { name, title }: Pick<Benchmark, "name" | "title">,
  choice: BenchJudgeChoice,
  signal: AbortSignal,
): Promise<Judge> {
  const { judge, model } = choice;
  const refuse = (problem: string): TtsVarError => new TtsVarError("USAGE", problem);
  if (judge !== undefined && /^https?:/.test(judge)) {
    if (!asked.includes(name))
      throw refuse(`${title} brings no questions for ${judge}; see docs/benchmarks.md`);
    if (!model) throw refuse(`--judge ${judge} needs --judge-model NAME: what the endpoint calls its model`);
    return openEndpoint(judge, model, choice, signal);
  }
  if (model !== undefined) throw refuse("--judge-model belongs to --judge http://...");
  switch (name) {
    case "geneval":
      return openJudge({ detector: judge ?? "detector-b", colorModel: null, rules: officialOptions });
    case "home-geneval-2":
      return openHome(judge ?? "detector-b");
    case "longtext": {
      const { ocrModels } = await import("../inference/ocr/models.ts");
      const { openTextReader } = await import("../inference/ocr/reader.ts");
      const { textJudge } = await import("../eval/benchmarks/text-judge.ts");
      return textJudge(await openTextReader(await ocrModels(judge === undefined ? null : resolve(judge))));
    }
    case "geneval-2":
    case "dpg":
      throw refuse(
        `${title} is judged by a vision-language model: --judge http://host:8000/v1 --judge-model NAME (an OpenAI-compatible endpoint with logprobs)`,
      );
    default:
      throw refuse(
        `${title} is judged by its own scripts: make images with \`tts-var bench generate --layout ${name}\`, then see docs/benchmarks.md`,
      );
  }
}

async function openEndpoint(url: string, model: string, choice: BenchJudgeChoice, signal: AbortSignal) {
  const { endpointSchema } = await import("../inference/vlm/endpoint.ts");
  const { openVlmJudge } = await import("../eval/benchmarks/vlm-judge.ts");
  const { apiKeyVariable, concurrency } = choice;
  const parsed = endpointSchema.safeParse({ url, model, apiKeyVariable, concurrency });
  if (parsed.success) return openVlmJudge(parsed.data, signal);
  const { path, message } = parsed.error.issues[0]!;
  throw new TtsVarError("USAGE", `--judge ${url}: ${path.join(".")}: ${message}`);
}

async function openHome(name: string): Promise<Judge<HomeItem>> {
  const { homeJudge } = await import("../eval/benchmarks/home-judge.ts");
  const { detectorColors } = await import("../eval/geneval/color-classifiers.ts");
  return homeJudge(await openDetector(name), detectorColors());
}

import type { Benchmark } from "../../core/benchmark.ts";
import type { EvaluationProgress } from "../../eval/run-evaluation.ts";
import { overallOf } from "../../eval/statistics/intervals.ts";
import { scoreTags, tagShares } from "../../eval/summary.ts";
import type { Progress } from "../../run/progress.ts";

/** Seconds between lines when there is no terminal to keep a live line on. */
const lineInterval = 30;

/** Shows where an evaluation stands: images done, rate, time left, accuracy by task. */
export function showEvaluation(
  progress: Progress,
  now: () => number,
  benchmark: Pick<Benchmark, "tags" | "overall">,
): (state: EvaluationProgress) => void {
  const start = now();
  let lastLine = start;
  return (state) => {
    const elapsed = now() - start;
    const rate = state.performed / Math.max(elapsed, 1e-9);
    const left = (state.total - state.done) / rate;
    const parts = [
      `${state.done}/${state.total} ${state.unit}`,
      ...(state.performed > 0 ? [`${rate.toFixed(2)}/s`, `${duration(left)} left`] : []),
      ...(state.judged.length > 0 ? [liveTable(state, benchmark)] : []),
    ];
    const text = parts.join(", ");
    progress.status(text);
    if (now() - lastLine >= lineInterval) {
      lastLine = now();
      progress.line(text);
    }
  };
}

function liveTable({ judged }: EvaluationProgress, benchmark: Pick<Benchmark, "tags" | "overall">): string {
  const scores = scoreTags(judged, benchmark.tags);
  const mean = overallOf(
    scores.map(({ tag, accuracy }) => ({ name: tag, mean: accuracy })),
    tagShares(benchmark, scores),
  );
  const cells = scores.map(({ tag, accuracy }) => `${tag} ${(100 * accuracy).toFixed(0)}%`);
  return `${judged.length} judged: ${mean.toFixed(3)} (${cells.join(", ")})`;
}

/** 75 -> "1:15", 7200 -> "2:00:00". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

import { describe, expect, it } from "vitest";
import { duration, showEvaluation } from "../../src/cli/geneval/live-status.ts";
import { geneval } from "../../src/eval/geneval/benchmark.ts";
import type { EvaluationProgress } from "../../src/eval/run-evaluation.ts";
import type { Progress } from "../../src/run/progress.ts";

/** Collects what is shown; the clock is set by hand. */
function watch() {
  const shown = { status: "", lines: [] as string[] };
  const clock = { seconds: 100 };
  const progress: Progress = {
    status: (text) => {
      shown.status = text;
    },
    line: (text) => shown.lines.push(text),
    warn: () => undefined,
    end: () => undefined,
  };
  return { shown, clock, show: showEvaluation(progress, () => clock.seconds, geneval) };
}

const verdict = (tag: string, correct: boolean): EvaluationProgress["judged"][number] => ({
  ...{ filename: "f", tag, prompt: "p", correct, reason: "", details: {} },
  metadata: { tag, prompt: "p" },
});

describe("the live status of an evaluation", () => {
  it("shows rate and time left of what this program does, and the accuracy by task", () => {
    const { shown, clock, show } = watch();
    clock.seconds += 10;
    const judged = [verdict("colors", true), verdict("colors", false), verdict("position", true)];
    show({ unit: "images", done: 60, total: 100, performed: 20, judged });
    expect(shown.status).toBe(
      "60/100 images, 2.00/s, 0:20 left, 3 judged: 0.750 (colors 50%, position 100%)",
    );
    expect(shown.lines, "plain lines are rare").toEqual([]);
    clock.seconds += 25;
    show({ unit: "images", done: 61, total: 100, performed: 21, judged: [] });
    expect(shown.lines).toEqual(["61/100 images, 0.60/s, 1:05 left"]);
  });

  it("counts rounds where images have several, and promises nothing before the first search", () => {
    const { shown, show } = watch();
    show({ unit: "rounds", done: 3, total: 72, performed: 0, judged: [] });
    expect(shown.status).toBe("3/72 rounds");
  });

  it.each([
    [0.4, "0:00"],
    [75, "1:15"],
    [7205, "2:00:05"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});

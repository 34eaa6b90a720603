import { join } from "node:path";
import type { Benchmark, Judge } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { geneval } from "../../eval/geneval/benchmark.ts";
import { judgeDetectionsFile } from "../../eval/geneval/judge-file.ts";
import { describeIgnored, openImageSet } from "../../eval/image-set.ts";
import { judgeFolder } from "../../eval/judge-folder.ts";
import { openOutputFile, parsedOrUndefined } from "../../io/ownership.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult, printWritten } from "../output.ts";
import { createProgress } from "../progress.ts";
import { type JudgeFlags, openJudgeOf, parseOptions } from "./judge-flags.ts";

/** Flags of judging a folder, whoever judges. */
export interface JudgeFolderFlags {
  readonly out?: string;
  readonly allowPartial?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export interface JudgeCommandFlags extends JudgeFlags, JudgeFolderFlags {
  readonly detections?: string;
}

/** `geneval judge DIR --out FILE`, or `geneval judge --detections FILE [--out FILE]`. */
export async function judgeCommand(dir: string | undefined, flags: JudgeCommandFlags): Promise<void> {
  if ((dir === undefined) === (flags.detections === undefined)) {
    throw new TtsVarError("USAGE", "give either a folder of images or --detections FILE");
  }
  if (flags.out === "") throw new TtsVarError("USAGE", '--out "": must name a file');
  if (flags.detections !== undefined) return judgeRecorded(flags.detections, flags);
  await judgeImages(dir!, flags, { benchmark: geneval, openJudge: () => openJudgeOf(flags) });
}

/** Judges the images of a folder, whatever the benchmark, and writes the verdicts. */
export async function judgeImages(
  dir: string,
  flags: JudgeFolderFlags,
  who: { readonly benchmark: Benchmark; readonly openJudge: (signal: AbortSignal) => Promise<Judge> },
): Promise<void> {
  const { benchmark } = who;
  const { out } = flags;
  if (!out) throw new TtsVarError("USAGE", "--out FILE is needed: where the verdicts go");
  const interrupts = watchInterrupts();
  const progress = createProgress(flags.quiet ?? false);
  try {
    // Before any model loads: an incomplete set is refused at once.
    const set = await openImageSet(benchmark, dir, flags.allowPartial ?? false);
    if (set.ignored.length > 0) progress.warn(describeIgnored(set.ignored));
    using _file = await openOutputFile(out, outputOf(flags), {
      isOurs: isVerdicts,
      inputs: set.images.map(({ filename }) => join(dir, filename)),
    });
    progress.status("loading the judge");
    await using judge = await who.openJudge(interrupts.signal);
    const rows = await judgeFolder({
      ...{ benchmark, dir, set, out, judge },
      signal: interrupts.signal,
      onProgress: (done, total) => progress.status(`${done}/${total} images judged`),
    });
    const correct = rows.filter((row) => row.correct).length;
    progress.end();
    if (flags.json) printJson({ schemaVersion: 1, judge: judge.id, images: rows.length, correct, out });
    else printWritten(out, `${rows.length} images judged by ${judge.id}, ${correct} correct: ${out}`);
  } finally {
    progress.end();
    interrupts.stop();
  }
}

function outputOf({ force }: JudgeFolderFlags) {
  return { command: "judge", force: force ?? false };
}

/** Whether the file names a judge of ours; files of the official judge do not. */
function isVerdicts(text: string): boolean {
  const [first = ""] = text.split("\n");
  const row = parsedOrUndefined(first) as { judge?: unknown } | null | undefined;
  return typeof row?.judge === "string" && /@[0-9a-f]{8}/.test(row.judge);
}

async function judgeRecorded(path: string, flags: JudgeCommandFlags): Promise<void> {
  const lines = await judgeDetectionsFile(path, parseOptions(flags.options).rules);
  const text = lines.map(({ row }) => `${JSON.stringify(row)}\n`).join("");
  const correct = lines.filter(({ verdict }) => verdict.correct).length;
  const { out } = flags;
  if (out !== undefined) {
    using file = await openOutputFile(out, outputOf(flags), {
      isOurs: (before) => before === text,
      inputs: [path],
    });
    await file.write(text);
  }
  if (flags.json) {
    const verdicts = out === undefined ? { rows: lines.map(({ row }) => row) } : { out };
    printJson({ schemaVersion: 1, images: lines.length, correct, ...verdicts });
  } else if (out === undefined) printResult(text);
  else printWritten(out, `${lines.length} recorded images judged, ${correct} correct: ${out}`);
}

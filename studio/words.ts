import type { RunState } from "../src/studio/api-types.ts";

/** `task.negativePrompt` -> "Negative prompt", `model.name` -> "Model". */
export function labelOf(path: string): string {
  const word = path
    .replace(/\.name$/, "")
    .split(".")
    .at(-1)!;
  const words = word.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function units(value: number): string {
  return value.toFixed(2);
}

export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

export function score(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(3);
}

export const STATE_WORDS: Readonly<Record<RunState, string>> = {
  queued: "waits",
  running: "runs",
  done: "done",
  aborted: "cancelled",
  failed: "failed",
  interrupted: "interrupted",
};

/** Local time, to the minute. */
export function time(iso: string | null): string {
  if (iso === null) return "";
  return new Date(iso).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
}

/** A prompt in one short line. Control characters would do nothing here but be invisible. */
export function shorten(text: string, length = 80): string {
  const line = text.replace(/[\s\p{C}]+/gu, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

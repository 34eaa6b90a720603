import { readFileSync } from "node:fs";

/**
 * When a process began, as a word to compare (on Linux: ticks since the machine started). Null where the system does
 * not say, and for processes that have ended and only wait to be collected.
 */
export function processStart(pid: number): string | null {
  try {
    // The name in the second field may hold spaces and brackets.
    const [, fields = ""] = /^\d+ \(.*\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    const [state, ...rest] = fields.trim().split(" ");
    return state === "Z" ? "ended" : (rest[18] ?? null);
  } catch {
    return null;
  }
}

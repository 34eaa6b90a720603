import { existsSync, readFileSync, writeFileSync } from "node:fs";

const STATUS = "/proc/self/status";

/** What some work cost this process: milliseconds of all processors together, and bytes at its worst moment. */
export interface ProcessCost {
  readonly cpu: number;
  readonly peak: number;
}

/** Runs the work; the most memory is counted anew where the kernel can (Linux), else it is that of the whole process so far. */
export async function costOf<T>(work: () => Promise<T>): Promise<ProcessCost & { readonly result: T }> {
  if (existsSync(STATUS)) writeFileSync("/proc/self/clear_refs", "5");
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  const kept = existsSync(STATUS) ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync(STATUS, "utf8"))?.[1]) : 0;
  return { result, cpu: (user + system) / 1000, peak: 1024 * (kept || process.resourceUsage().maxRSS) };
}

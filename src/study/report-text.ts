import type { Interval } from "../eval/statistics/intervals.ts";

/** A table in Markdown; the first columns are text, the others numbers. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  textColumns: number,
): string {
  const rule = head.map((_, column) => (column < textColumns ? "---" : "--:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** A p-value. */
export function probability(p: number): string {
  return p < 0.001 ? "< .001" : p.toFixed(3).replace(/^0/, "");
}

/** A share in per cent. */
export function percent(value: number): string {
  return (100 * value).toFixed(1);
}

/** Bounds in per cent. */
export function range({ low, high }: Pick<Interval, "low" | "high">): string {
  return `${percent(low)} to ${percent(high)}`;
}

/** A difference in points, with its sign and bounds. */
export function signed(interval: Interval): string {
  const sign = interval.estimate > 0 ? "+" : "";
  return `${sign}${percent(interval.estimate)} (${range(interval)})`;
}

/** A figure between -1 and 1 with its bounds. */
export function correlation({ estimate, low, high }: Interval): string {
  return `${estimate.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

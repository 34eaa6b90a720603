const letters =
  "a-zA-Z0-9\u00e0\u00e2\u00e4\u00e9\u00e8\u00ea\u00eb\u00ee\u00ef\u00f4\u00f6\u00f9\u00fb\u00fc\u00e7\u00c0\u00c2\u00c4\u00c9\u00c8\u00ca\u00cb\u00ce\u00cf\u00d4\u00d6\u00d9\u00db\u00dc\u00c7";
const han = "\u4e00-\u9fa5";

/**
 * What LongText-Bench counts of a text: words in lower case, or characters where it holds Chinese ones; everything but
 * letters and digits is left out.
 *
 * Source: X-Omni (Apache-2.0), textbench/summary_scores.py.
 */
export function unitsOf(text: string, chinese = new RegExp(`[${han}]`).test(text)): string[] {
  if (chinese) return text.match(new RegExp(`[${han}${letters}]`, "g")) ?? [];
  const plain = text.replace(new RegExp(`[^${han}${letters}\\s]`, "g"), "");
  return plain
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
}

/** Share of each wanted text's units that are among those read, each unit read counting once. */
export function sharesFound(wanted: readonly string[], read: string): number[] {
  const chinese = new RegExp(`[${han}]`).test(wanted.join(""));
  const left = new Map<string, number>();
  for (const unit of unitsOf(read, chinese)) left.set(unit, (left.get(unit) ?? 0) + 1);
  return wanted.map((text) => {
    const units = unitsOf(text, chinese);
    const found = units.filter((unit) => {
      const count = left.get(unit) ?? 0;
      left.set(unit, count - 1);
      return count > 0;
    });
    return units.length === 0 ? 1 : found.length / units.length;
  });
}

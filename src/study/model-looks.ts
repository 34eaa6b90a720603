import type { Interval } from "../eval/statistics/intervals.ts";
import type { PreviewRow } from "./preview-table.ts";
import type { StudyTable } from "./study-table.ts";

/** A model's part of a study over several models. */
export interface ModelTable {
  readonly model: string;
  readonly table: StudyTable;
}

/** Looks at one model, in the order of the stages. */
export interface Looks {
  readonly model: string;
  /** What is looked at: the picture as it is, or the model's guess at its end. */
  readonly look: "now" | "ahead";
  readonly points: readonly { readonly spent: number; readonly withReward: Interval }[];
}

/** The looks of a model at whole pictures: through drafts where there are some, otherwise at the largest size. */
export function looksOf({ model, table }: ModelTable): Looks[] {
  const { previews, spentAfter } = table;
  if (!spentAfter) return [];
  return (["now", "ahead"] as const).flatMap((look) => {
    const rows = previews.filter(
      ({ view, size }) => view === "reward" && size.endsWith("ahead") === (look === "ahead"),
    );
    const of = (wanted: (row: PreviewRow) => boolean) => rows.filter(wanted);
    const drafts = of(({ size }) => size.startsWith("draft"));
    const unfinished = spentAfter.length - 1;
    const points = (drafts.length > 0 ? drafts : of(({ size }) => size === "full" || size === "ahead"))
      .filter(({ scale }) => scale < unfinished)
      .map(({ scale, withReward }) => ({ spent: spentAfter[scale]!, withReward }));
    return points.length > 0 ? [{ model, look, points }] : [];
  });
}

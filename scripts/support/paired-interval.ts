import { createRng } from "../../src/core/rng.ts";

/** An edit: success and PSNR outside the mask, of a candidate on average and of the chosen one. */
export interface EditCell {
  readonly index: number;
  readonly kind: string;
  readonly one: number;
  readonly best: number;
  readonly outsideOne: number;
  readonly outsideBest: number;
}

/** Means with 95 % intervals over edits (percentile bootstrap, paired), and what search adds. */
export function bootstrapIntervals(cells: readonly EditCell[], draws = 10_000) {
  const stream = createRng("edit-study", "bootstrap").stream("stats", "edits", 0);
  const columns = {
    one: cells.map(({ one }) => one),
    best: cells.map(({ best }) => best),
    gain: cells.map(({ one, best }) => best - one),
    outsideOne: cells.map(({ outsideOne }) => outsideOne),
    outsideBest: cells.map(({ outsideBest }) => outsideBest),
  };
  const resampled = Array.from({ length: draws }, (_, draw) =>
    cells.map((_, at) => Math.floor(stream.uniform(draw * cells.length + at) * cells.length)),
  );
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => {
      const means = resampled
        .map((picks) => picks.reduce((sum, pick) => sum + column[pick]!, 0) / picks.length)
        .sort((a, b) => a - b);
      const estimate = column.reduce((sum, value) => sum + value, 0) / column.length;
      return [
        name,
        { estimate, low: means[Math.floor(draws * 0.025)]!, high: means[Math.ceil(draws * 0.975) - 1]! },
      ];
    }),
  );
}

import type { Interval } from "../eval/statistics/intervals.ts";
import { looksOf, type ModelTable } from "./model-looks.ts";
import { type Curve, drawPanels, panel } from "./panels.ts";

/**
 * SVG of several models side by side, by the share of a unit that a candidate has cost: how well a look predicts the final
 * reward, and how much of it is decided.
 */
export function plotModels(models: readonly ModelTable[]): string {
  const looks = models.flatMap((each) => {
    const curves = looksOf(each);
    return curves.map(
      ({ model, look, points }): Curve => ({
        name: curves.length > 1 ? `${model}, ${look}` : model,
        points: points.map(({ spent, withReward }) => pointOf(spent, withReward)),
      }),
    );
  });
  const decided = models.flatMap(({ model, table: { decided, spentAfter } }): Curve[] =>
    decided.length > 0 && spentAfter
      ? [
          {
            name: model,
            points: decided.map(({ scale, decided: share }) => pointOf(spentAfter[scale]!, share)),
          },
        ]
      : [],
  );
  const x = { domain: [0, 1], label: "share of a unit spent", labelAnchor: "center" as const };
  const panels = [
    { curves: looks, label: "correlation of a look with the final reward" },
    { curves: decided, label: "share of the final reward's variance that is decided" },
  ];
  return drawPanels(
    panels.flatMap(({ curves, label }) =>
      curves.length > 0 ? [panel(curves, { x, y: { label } }, 0, 0)] : [],
    ),
  );
}

function pointOf(x: number, { estimate, low, high }: Interval): Curve["points"][number] {
  return { x, y: estimate, low, high };
}

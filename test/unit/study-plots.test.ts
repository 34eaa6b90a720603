import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { plotPreviews, plotStudy } from "../../src/study/plots.ts";
import type { StudyTable } from "../../src/study/study-table.ts";

const tableOf = (study: string) =>
  JSON.parse(readFileSync(`results/${study}/table.json`, "utf8")) as StudyTable;

/** Names beside the curves: height, colour and text, panel by panel. */
function labelsOf(svg: string) {
  return svg
    .split('<svg x="500"')
    .slice(1)
    .map((panel) =>
      [
        ...panel.matchAll(
          /<g[^>]*fill="(#\w+)"[^>]*><text transform="translate\(20,([\d.]+)\)"[^>]*>([^<]+)</g,
        ),
      ].map(([, color, y, name]) => ({ color: color!, y: Number(y), name: name! })),
    );
}

/** Outlines of the marks beside the names. */
function marksOf(svg: string): string[] {
  const keys = svg.slice(svg.indexOf('<svg x="500"'));
  return [...keys.matchAll(/aria-label="dot"><(path d="[^"]+"|circle)/g)].map(([, outline]) => outline!);
}

describe("plots of studies", () => {
  it("name every arm beside its curve, none over another, in a look of its own", () => {
    const table = tableOf("strategies");
    const svg = plotStudy(table);
    const [labels] = labelsOf(svg);
    expect(labels!.map(({ name }) => name).sort()).toEqual(
      [...new Set(table.rows.map(({ arm }) => arm))].sort(),
    );
    const heights = labels!.map(({ y }) => y).sort((a, b) => a - b);
    heights.slice(1).forEach((y, index) => {
      expect(y - heights[index]!).toBeGreaterThanOrEqual(14.9);
    });
    expect(new Set(labels!.map(({ color }) => color)).size).toBe(7);
    const marks = marksOf(svg);
    expect(marks).toHaveLength(labels!.length);
    expect(new Set(labels!.map(({ color }, index) => `${color} ${marks[index]}`)).size).toBe(labels!.length);
    expect(svg).not.toContain("height: auto");
  });

  it("keep pairs and single images apart", () => {
    const [images, pairs] = labelsOf(plotPreviews(tableOf("previews")));
    expect(images!.map(({ name }) => name)).toContain("reward of previews, full");
    expect(pairs!.map(({ name }) => name)).toEqual(["token distance"]);
  });
});

/** A study's file: by configuration the mean of each figure over prompts with its 95 % interval, and the same as a table. */
import { readFile } from "node:fs/promises";
import { writeFileAtomic, writeJsonAtomic } from "../../src/io/atomic.ts";

const folder = "results/next-scale";

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean and half the width of its 95 % interval, over prompts. */
function told(values: readonly number[]): { mean: number; plusMinus: number } {
  const centre = mean(values);
  const variance = mean(values.map((value) => (value - centre) ** 2));
  const plusMinus = 1.96 * Math.sqrt(variance / Math.max(1, values.length - 1));
  return { mean: Number(centre.toFixed(3)), plusMinus: Number(plusMinus.toFixed(3)) };
}

/** Columns of a table: by prompt, what a configuration gave. */
export type Columns = Map<string, Record<string, number[]>>;

export function push(columns: Columns, name: string, values: Readonly<Record<string, number>>): void {
  const column = columns.get(name) ?? {};
  for (const [key, value] of Object.entries(values)) column[key] = [...(column[key] ?? []), value];
  columns.set(name, column);
}

export async function write(name: string, more: object, columns: Columns): Promise<void> {
  const rows = [...columns].map(([label, column]) => ({
    label,
    ...Object.fromEntries(Object.entries(column).map(([key, values]) => [key, told(values)])),
  }));
  await writeJsonAtomic(`${folder}/${name}.json`, { schemaVersion: 1, ...more, rows });
}

type Told = Readonly<Record<string, ReturnType<typeof told> | string>>;

/** A study's file as a table: a row for each configuration, a column for each figure with its interval. */
export async function tabulate(name: string): Promise<void> {
  const text = await readFile(`${folder}/${name}.json`, "utf8");
  const { rows, ...more } = JSON.parse(text) as { rows: readonly Told[] } & Record<string, unknown>;
  const figures = Object.keys(rows[0]!).filter((key) => key !== "label");
  const beside = Object.entries(more).filter(([, value]) => typeof value === "object") as [
    string,
    Record<string, number>,
  ][];
  const head = ["", ...beside.map(([key]) => key), ...figures];
  const lines = rows.map((row) => [
    String(row["label"]),
    ...beside.map(([, values]) => String(values[String(row["label"])] ?? "")),
    ...figures.map((key) => {
      const { mean: centre, plusMinus } = row[key] as ReturnType<typeof told>;
      return `${centre} ± ${plusMinus}`;
    }),
  ]);
  const table = [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`);
  const counts = Object.entries(more).filter(
    ([key, value]) => typeof value === "number" && key !== "schemaVersion",
  );
  const title = `${counts.map(([key, value]) => `${value} ${key}`).join(", ")}; mean and 95 % interval over them.`;
  await writeFileAtomic(`${folder}/${name}.md`, `${title}\n\n${table.join("\n")}\n`);
}

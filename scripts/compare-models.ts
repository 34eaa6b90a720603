/**
 * Two models with one image tokenizer on the same draws: how often a judge says the same, and how far the pictures are apart.
 *
 *     npx tsx scripts/compare-models.ts embedded-int8                    # against embedded, 552 prompts, 4 images each
 *     npx tsx scripts/compare-models.ts ./mine --against embedded --per-tag 20 --images 2
 *     npx tsx scripts/compare-models.ts embedded --options '{"guidance":1}'   # other settings of one model
 *
 * A table on stdout, or everything as JSON with --json; intervals are over prompts, paired.
 */
import { parseArgs } from "node:util";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW, type Generator, type Picture, stillOf } from "../src/core/generator.ts";
import type { RgbImage } from "../src/core/image.ts";
import { officialOptions } from "../src/eval/geneval/rules.ts";
import { type Cell, type Interval, intervals } from "../src/eval/statistics/intervals.ts";
import { promptsOf } from "./support/prompts-of.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: "string", default: "embedded" },
    judge: { type: "string", default: "detector-b" },
    "per-tag": { type: "string", default: "92" },
    images: { type: "string", default: "4" },
    seed: { type: "string", default: "compare-models" },
    options: { type: "string", default: "{}" },
    json: { type: "boolean", default: false },
  },
});
const [name] = positionals;
if (!name) throw new Error("which model? see the head of this script");
const ids = Array.from({ length: Number(values.images) }, (_, index) => `c${index}`);
const prompts = promptsOf(Number(values["per-tag"]), values.seed);

async function draw(generator: Generator, prompt: string): Promise<RgbImage[]> {
  const session = await generator.start({ prompt, seed: 0 }, ids);
  for (const _ of generator.traits.stages) await session.step();
  const pictures: readonly Picture[] = await session.view([...ids.keys()], FULL_VIEW);
  session.release();
  return pictures.map(stillOf);
}

/** Mean absolute difference of 8-bit values. */
function apart(one: RgbImage, other: RgbImage): number {
  return (
    one.data.reduce((total, value, at) => total + Math.abs(value - other.data[at]!), 0) / one.data.length
  );
}

function flopsOf({ traits: { cost } }: Generator): number {
  return cost.prompt + cost.stages.reduce((sum, stage) => sum + stage, 0) + cost.views.now!;
}

await using model = await (await findGenerator(name)).definition.open(
  { settings: JSON.parse(values.options) },
  { threads: 1 },
);
await using other = await (await findGenerator(values.against)).definition.open({}, { threads: 1 });
await using judge = await openJudge({ detector: values.judge, colorModel: null, rules: officialOptions });
type Column = "score" | "reference" | "change" | "sameVerdict";
const columns: Record<Column, Cell[]> = { score: [], reference: [], change: [], sameVerdict: [] };
let pixels = 0;
for (const [index, item] of prompts.entries()) {
  const own = await draw(model, item.prompt);
  const theirs = await draw(other, item.prompt);
  const verdicts = await judge.judge([...own, ...theirs].map((image) => ({ image, item })));
  const right = verdicts.map(({ correct }) => Number(correct));
  const [mine, reference] = [right.slice(0, own.length), right.slice(own.length)];
  const add = (column: Column, values: readonly number[]): void => {
    columns[column].push({ stratum: item.tag, values });
  };
  add("score", mine);
  add("reference", reference);
  add(
    "change",
    mine.map((value, at) => value - reference[at]!),
  );
  add(
    "sameVerdict",
    mine.map((value, at) => Number(value === reference[at])),
  );
  pixels += own.reduce((sum, image, at) => sum + apart(image, theirs[at]!), 0) / own.length;
  if (index % 60 === 59) console.error(`${index + 1} of ${prompts.length} prompts`);
}
const found = Object.fromEntries(
  Object.entries(columns).map(([column, cells]) => {
    return [column, intervals(cells, { range: column === "change" ? [-1, 1] : [0, 1] }).overall];
  }),
) as Record<Column, Interval>;
const facts = {
  model: model.traits.version,
  options: JSON.parse(values.options),
  /** Of an image's FLOPs, text and decode included. */
  flops: Number((flopsOf(model) / flopsOf(other)).toFixed(3)),
  against: other.traits.version,
  judge: values.judge,
  prompts: prompts.length,
  images: prompts.length * ids.length,
  pixels: Number((pixels / prompts.length).toFixed(2)),
  ...found,
};
const label = values.options === "{}" ? "" : ` ${values.options}`;
const percent = ({ estimate, low, high }: Interval): string =>
  `${[estimate, low, high].map((value) => (100 * value).toFixed(1)).join(" | ")}`;
console.log(
  values.json
    ? JSON.stringify(facts, null, 2)
    : `${prompts.length} prompts, ${ids.length} images each; ${values.judge}; mean of the six kinds, 95 % for new prompts

| % | estimate | from | to |
|---|--:|--:|--:|
| ${name}${label} right | ${percent(found.score)} |
| ${values.against} right | ${percent(found.reference)} |
| difference | ${percent(found.change)} |
| same verdict | ${percent(found.sameVerdict)} |

Pixels differ by ${facts.pixels} of 255 on average. An image takes ${facts.flops} of the FLOPs.`,
);
process.exit(0);

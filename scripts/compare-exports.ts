/**
 * Two exports of the same weights: how many pictures stay the same to the bit, and whether a judge likes the others as much.
 *
 *     npx tsx scripts/compare-exports.ts OLD_FOLDER [NEW_FOLDER] [--prompts 60] [--samples 4]
 */
import { parseArgs } from "node:util";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW, type Generator, stillOf } from "../src/core/generator.ts";
import { loadPrompts } from "../src/eval/geneval/prompt-source.ts";
import { officialOptions } from "../src/eval/geneval/rules.ts";
import { type Cell, intervals } from "../src/eval/statistics/intervals.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    judge: { type: "string", default: "detector-b" },
    prompts: { type: "string", default: "60" },
    seed: { type: "string", default: "compare-exports" },
    samples: { type: "string", default: "4" },
  },
});
const [old = "", fresh = "embedded"] = positionals;
const open = async (name: string): Promise<Generator> =>
  (await findGenerator(name)).definition.open({}, { threads: 1 });
await using before = await open(old);
await using after = await open(fresh);
await using judge = await openJudge({ detector: values.judge, colorModel: null, rules: officialOptions });
const prompts = await loadPrompts(values.prompts, values.seed, []);
const ids = Array.from({ length: Number(values.samples) }, (_, at) => `c${at}`);
const rows = [...ids.keys()];
const stages = before.traits.stages.length;
const cells: Cell[] = [];
/** Candidates whose tokens are the same up to a stage. */
const same = new Array<number>(stages).fill(0);
let right = 0;
for (const item of prompts) {
  const sides = [];
  for (const generator of [before, after]) {
    const session = await generator.start({ prompt: item.prompt, seed: 0 }, ids);
    const hashes = [];
    while (session.stage < stages) hashes.push((await session.step()).tokenHash);
    const pictures = await session.view(rows, FULL_VIEW);
    session.release();
    const verdicts = await judge.judge(pictures.map((picture) => ({ image: stillOf(picture), item })));
    sides.push({ hashes, correct: verdicts.map(({ correct }) => Number(correct)) });
  }
  const [one, other] = sides as [(typeof sides)[0], (typeof sides)[0]];
  for (const row of rows) {
    const first = one.hashes.findIndex((hashes, stage) => hashes[row] !== other.hashes[stage]![row]);
    for (let stage = 0; stage < (first < 0 ? stages : first); stage++) same[stage]! += 1;
    right += one.correct[row]!;
  }
  cells.push({ stratum: item.tag, values: rows.map((row) => other.correct[row]! - one.correct[row]!) });
}
const count = prompts.length * rows.length;
const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
const { estimate, low, high } = intervals(cells, { range: [-1, 1] }).overall;
console.log(`${before.traits.version} -> ${after.traits.version}: ${count} candidates of ${prompts.length} prompts
same tokens up to each stage: ${same.map((each) => percent(each / count)).join(", ")}
right by ${values.judge} before: ${percent(right / count)}; after, the difference: ${percent(estimate)} [${percent(low)}, ${percent(high)}]`);

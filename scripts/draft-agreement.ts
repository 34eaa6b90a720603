/**
 * What the draft decoder loses on finished images: how often the judge says the same of a draft as of the full picture,
 * and how far their pixels are apart. Writes `results/draft-agreement/README.md`.
 *
 *     npx tsx scripts/draft-agreement.ts                                      # the embedded model
 *     npx tsx scripts/draft-agreement.ts --model ../my-model --prompts 60     # any folder with drafts
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW, type Picture, stillOf, viewAt } from "../src/core/generator.ts";
import type { RgbImage } from "../src/core/image.ts";
import { loadPrompts } from "../src/eval/geneval/prompt-source.ts";
import { officialOptions } from "../src/eval/geneval/rules.ts";
import { type Cell, intervals } from "../src/eval/statistics/intervals.ts";
import { makeFolder } from "../src/io/atomic.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "embedded" },
    judge: { type: "string", default: "detector-b" },
    prompts: { type: "string", default: "240" },
    seed: { type: "string", default: "report-drafts" },
    samples: { type: "string", default: "4" },
    out: { type: "string", default: "results/draft-agreement" },
  },
});

/** Peak signal-to-noise ratio of 8-bit images, dB. */
function psnr(one: RgbImage, other: RgbImage): number {
  const sum = one.data.reduce((total, value, at) => total + (value - other.data[at]!) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (sum / one.data.length));
}

const { definition } = await findGenerator(values.model);
await using generator = await definition.open({}, { threads: 1 });
await using judge = await openJudge({ detector: values.judge, colorModel: null, rules: officialOptions });
const { shape, stages, cost, name, version } = generator.traits;
const draft = viewAt(shape, 1, "now", "draft");
const prompts = await loadPrompts(values.prompts, values.seed, []);
const ids = Array.from({ length: Number(values.samples) }, (_, at) => `c${at}`);
const cells: Cell[] = [];
const tally = { full: 0, draft: 0, images: 0, psnr: 0 };
for (const item of prompts) {
  const session = await generator.start({ prompt: item.prompt, seed: 0 }, ids);
  while (session.stage < stages.length) await session.step();
  const rows = [...ids.keys()];
  const verdicts = async (pictures: readonly Picture[]) =>
    (await judge.judge(pictures.map((picture) => ({ image: stillOf(picture), item })))).map(
      ({ correct }) => correct,
    );
  const [whole, drafted] = [await session.view(rows, FULL_VIEW), await session.view(rows, draft)];
  const [right, rightDraft] = [await verdicts(whole), await verdicts(drafted)];
  for (const row of rows) {
    tally.images += 1;
    tally.full += Number(right[row]);
    tally.draft += Number(rightDraft[row]);
    tally.psnr += psnr(stillOf(whole[row]!), stillOf(drafted[row]!));
  }
  cells.push({ stratum: item.tag, values: rows.map((row) => Number(right[row] === rightDraft[row])) });
  session.release();
}
const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
const { estimate, low, high } = intervals(cells, { range: [0, 1] }).overall;
const table = `# Drafts

What the draft decoder of ${name} (${version}) loses on finished images.

| | |
|---|---|
| FLOPs of a draft, of a full decode | ${percent(cost.drafts!.now! / cost.views.now!)} |
| same verdict by ${values.judge} | ${percent(estimate)} [${percent(low)}, ${percent(high)}] of ${tally.images} images |
| right by the full picture, by the draft | ${percent(tally.full / tally.images)}, ${percent(tally.draft / tally.images)} |
| mean PSNR between the two | ${(tally.psnr / tally.images).toFixed(1)} dB |

${prompts.length} prompts of the seed \`${values.seed}\`, ${values.samples} images each; interval of 95 % for new prompts, which are the units. How well
drafts of unfinished pictures predict the end: results/previews.

    npx tsx scripts/draft-agreement.ts${values.model === "embedded" ? "" : ` --model ${values.model}`}
`;
makeFolder(values.out);
writeFileSync(`${values.out}/README.md`, table);
console.log(table);

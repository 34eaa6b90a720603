/**
 * From which scale on a wrong picture should be drawn anew: of pictures that fail, further ends are drawn from every scale, and
 * judged. The table groups pictures by what fails. Writes `results/restarts/README.md`.
 *
 *     npx tsx scripts/restart-scales.ts
 *     npx tsx scripts/restart-scales.ts --models embedded,../my-model --prompts 60 --copies 8
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { dependent, likely } from "../src/core/atoms.ts";
import type { Atom } from "../src/core/benchmark.ts";
import { FULL_VIEW, type Session, stillOf } from "../src/core/generator.ts";
import { loadPrompts } from "../src/eval/geneval/prompt-source.ts";
import { officialOptions } from "../src/eval/geneval/rules.ts";
import { makeFolder } from "../src/io/atomic.ts";

const { values } = parseArgs({
  options: {
    models: { type: "string", default: "embedded,hmar" },
    judge: { type: "string", default: "detector-b" },
    prompts: { type: "string", default: "80" },
    seed: { type: "string", default: "report-restarts" },
    copies: { type: "string", default: "4" },
    out: { type: "string", default: "results/restarts" },
  },
});
const copies = Number(values.copies);
await using judge = await openJudge({ detector: values.judge, colorModel: null, rules: officialOptions });
const prompts = await loadPrompts(values.prompts, values.seed, ["tuning:96", "calibration:96"]);

/** What a picture fails by: an object or a number before a place, a place before a colour. */
function reasonOf(atoms: readonly Atom[]): string {
  const holds = dependent(atoms).map(likely);
  const failed = new Set(atoms.filter((_, at) => !holds[at]).map(({ skill }) => skill));
  if (failed.has("object") || failed.has("count")) return "an object or a number";
  return failed.has("position") ? "a place" : "a colour alone";
}

interface Group {
  pictures: number;
  /** Right ends of all pictures by the scale that they were drawn anew from. */
  readonly right: number[];
}

async function measure(model: string): Promise<string[]> {
  const { definition } = await findGenerator(model);
  await using generator = await definition.open({}, { threads: 1 });
  const { stages, cost } = generator.traits;
  const groups = new Map<string, Group>();
  for (const item of prompts) {
    const task = { prompt: item.prompt, seed: 0 };
    const finished = async (session: Session) => {
      while (session.stage < stages.length) await session.step();
      const pictures = await session.view([...session.ids.keys()], FULL_VIEW);
      session.release();
      return judge.judge(pictures.map((picture) => ({ image: stillOf(picture), item })));
    };
    const first = await generator.start(task, ["c0"]);
    const moments: Session[] = [];
    for (const { index } of stages.slice(1)) {
      await first.step();
      const ids = Array.from({ length: copies }, (_, copy) => `c0.${index * copies + copy}`);
      moments.push(await first.branch(ids.map((id) => ({ parent: 0, id }))));
    }
    const [verdict] = await finished(first);
    const reason = verdict!.correct ? "right" : reasonOf(verdict!.atoms);
    const group = groups.get(reason) ?? { pictures: 0, right: stages.map(() => 0) };
    groups.set(reason, group);
    group.pictures += 1;
    const others = Array.from({ length: copies }, (_, copy) => `c${1 + copy}`);
    const starts = [generator.start(task, others), ...moments];
    for (const [scale, start] of starts.entries()) {
      const session = await start;
      if (verdict!.correct) session.release();
      else group.right[scale]! += (await finished(session)).filter(({ correct }) => correct).length;
    }
  }
  const share = (right: number, of: number): string => (of === 0 ? "" : ((100 * right) / of).toFixed(1));
  const failing = [...groups].filter(([reason]) => reason !== "right").sort(([a], [b]) => (a < b ? -1 : 1));
  const all = stages.map((_, scale) => failing.reduce((sum, [, { right }]) => sum + right[scale]!, 0));
  const pictures = failing.reduce((sum, [, group]) => sum + group.pictures, 0);
  const row = (reason: string, count: number, right: readonly number[]): string =>
    `| ${model} | ${reason} | ${count} | ${right.map((found) => share(found, count * copies)).join(" | ")} |`;
  const whole = cost.stages.reduce((sum, flops) => sum + flops, 0);
  const left = stages.map(({ index }) => cost.stages.slice(index).reduce((sum, flops) => sum + flops, 0));
  return [
    ...failing.map(([reason, group]) => row(reason, group.pictures, group.right)),
    row("anything", pictures, all),
    `| ${model} | *% of an image's drawing* | | ${left.map((flops) => share(flops, whole)).join(" | ")} |`,
  ];
}

const lines: string[] = [];
const models = values.models.split(",");
let scales = 0;
for (const model of models) {
  const rows = await measure(model);
  scales = Math.max(scales, rows[0]!.split("|").length - 5);
  lines.push(...rows);
}
const names = Array.from({ length: scales }, (_, scale) =>
  scale === 0 ? "another sample" : `scale ${scale}`,
);
const given = process.argv.slice(2).join(" ");
const table = `# From which scale on should a wrong picture be drawn anew?

\`\`\`
npx tsx scripts/restart-scales.ts${given ? ` ${given}` : ""}
\`\`\`

${prompts.length} fresh prompts (seed \`${values.seed}\`), one picture each, judged by \`${values.judge}\`. Of each that is wrong, ${copies} further ends
are drawn from every scale, the scales before as they are. Percent of these that are right, by what the picture fails first.

| model | fails | pictures | ${names.join(" | ")} |
|---|---|--:|${names.map(() => "--:|").join("")}
${lines.join("\n")}
`;
makeFolder(values.out);
writeFileSync(join(values.out, "README.md"), table);
console.log(table);

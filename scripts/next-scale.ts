/**
 * What the systems of the next-scale family do on the embedded generator; results/next-scale/README.md has the tables.
 *
 *     npx tsx scripts/next-scale.ts cache PROMPTS_PER_TAG         # policies of the cache against the whole cache
 *     npx tsx scripts/next-scale.ts commitment PAIRS              # which scale decides class and colour
 *     npx tsx scripts/next-scale.ts code REFINER PROMPTS_PER_TAG  # hand-over to another net, and the reverse order
 *     npx tsx scripts/next-scale.ts best PROMPTS_PER_TAG          # best of 8 of a pair against best of 8 of the large model
 *     npx tsx scripts/next-scale.ts refine PROMPTS_PER_TAG        # HMAR: redrawing the least certain tokens as moves
 *     npx tsx scripts/next-scale.ts passes PROMPTS_PER_TAG        # HMAR: more and fewer masked passes
 *     npx tsx scripts/next-scale.ts steps PROMPTS_PER_TAG         # FlexVAR: number of steps
 *     npx tsx scripts/next-scale.ts shapes PROMPTS_PER_TAG        # FlexVAR: shapes that it was not trained on
 *     npx tsx scripts/next-scale.ts rejection PROMPTS             # VAR: rejection sampling by a classifier
 *     npx tsx scripts/next-scale.ts tables                        # the files as tables
 *
 * Files are written after every prompt, so an interrupted run leaves what it has.
 */
import { existsSync } from "node:fs";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW, type Generator } from "../src/core/generator.ts";
import type { RgbImage } from "../src/core/image.ts";
import type { Task } from "../src/core/task.ts";
import { type GenevalMetadata, officialOptions } from "../src/eval/geneval/rules.ts";
import { codeDefinition } from "../src/generators/next-scale/code/definition.ts";
import { infinityDefinition } from "../src/generators/next-scale/infinity/definition.ts";
import { embeddedModelPath } from "../src/inference/folder/model-folder.ts";
import {
  studyBest,
  studyPasses,
  studyRefine,
  studyRejection,
  studyShapes,
  studySteps,
} from "./support/next-scale-search.ts";
import { promptsOf } from "./support/prompts-of.ts";
import { type Columns, mean, push, tabulate, write } from "./support/study-file.ts";

const here = { inProcess: true, threads: 1 };
const ids = ["c0", "c1"];
/** Same images: what PSNR says of them. */
const SAME = 60;

const judge = await openJudge({ detector: "detector-b", colorModel: null, rules: officialOptions });

interface Drawn {
  readonly images: readonly RgbImage[];
  readonly tokens: readonly Uint8Array[];
}

async function draw(generator: Generator, task: Task): Promise<Drawn> {
  const session = await generator.start(task, ids);
  const { stages } = generator.traits;
  while (session.stage < stages.length) await session.step();
  const rows = [...ids.keys()];
  const tokens = await Promise.all(stages.map(({ index }) => session.tokens(rows, index)));
  const pictures = await session.view(rows, FULL_VIEW);
  session.release();
  return {
    images: pictures.map(({ frames }) => frames[0]),
    tokens: rows.map((row) => Uint8Array.from(tokens.flatMap((stage) => [...stage[row]!.data]))),
  };
}

async function verdicts(images: readonly RgbImage[], metadata: GenevalMetadata): Promise<number[]> {
  const judged = await judge.judge(images.map((image) => ({ image, item: metadata })));
  return judged.map(({ correct }) => (correct ? 1 : 0));
}

function psnr(a: RgbImage, b: RgbImage): number {
  const error = mean(Array.from(a.data, (value, at) => (value - b.data[at]!) ** 2));
  return error === 0 ? SAME : Math.min(SAME, 10 * Math.log10(255 ** 2 / error));
}

/** Likeness of images to those of a reference, and their verdicts. */
async function compare(drawn: Drawn, whole: Drawn, metadata: GenevalMetadata, right: readonly number[]) {
  const own = await verdicts(drawn.images, metadata);
  return {
    psnr: mean(drawn.images.map((image, at) => psnr(image, whole.images[at]!))),
    equalBits: mean(
      drawn.tokens.map((bits, at) =>
        mean([...bits].map((bit, place) => (bit === whole.tokens[at]![place] ? 1 : 0))),
      ),
    ),
    equalVerdicts: mean(own.map((value, at) => (value === right[at] ? 1 : 0))),
    correct: mean(own),
    correctChange: mean(own) - mean(right),
  };
}

async function studyCache(perTag: number): Promise<void> {
  const generator = await infinityDefinition(await embeddedModelPath("generator")).open({}, here);
  const policies = [
    { cache: "scalekv", cacheLayers: "identified", cacheTokens: "window" },
    { cache: "scalekv", cacheLayers: "identified", cacheTokens: "random" },
    { cache: "scalekv", cacheLayers: "uniform", cacheTokens: "window" },
    { cache: "scalekv", cacheLayers: "uniform", cacheTokens: "random" },
    { cache: "scalekv", cacheLayers: "uniform", cacheTokens: "recent" },
    { cache: "hack", cacheHeads: "identified" },
    { cache: "hack", cacheHeads: "swapped" },
  ];
  const columns: Columns = new Map();
  const prompts = promptsOf(perTag, "next-scale-cache").toSorted((a, b) => (a.prompt < b.prompt ? -1 : 1));
  const kept: Record<string, number> = {};
  for (const [index, metadata] of prompts.entries()) {
    const task = { prompt: metadata.prompt, seed: 0 };
    const whole = await draw(generator, task);
    const right = await verdicts(whole.images, metadata);
    push(columns, "whole", await compare(whole, whole, metadata, right));
    for (const cacheShare of [0.5, 0.25, 0.12]) {
      for (const policy of policies) {
        const cut = await generator.withSettings!({ ...policy, cacheShare });
        const name = `${cacheShare} ${Object.values(policy).join(" ")}`;
        kept[name] = Math.round(cut.traits.memory!.kept.at(-1)!);
        push(columns, name, await compare(await draw(cut, task), whole, metadata, right));
      }
    }
    const bytes = { whole: generator.traits.memory!.kept.at(-1)!, ...kept };
    await write("cache", { prompts: index + 1, images: ids.length * (index + 1), keptBytes: bytes }, columns);
  }
  await generator[Symbol.asyncDispose]();
}

async function studyCommitment(count: number): Promise<void> {
  const classes = [
    "cup",
    "dog",
    "car",
    "apple",
    "umbrella",
    "clock",
    "bear",
    "boat",
    "chair",
    "bicycle",
    "banana",
    "cat",
  ];
  const colors = ["red", "blue", "green", "yellow", "purple", "orange"];
  const pairs = Array.from({ length: 4 * count }, (_, at) => ({
    early: { class: classes[at % 12]!, color: colors[at % 6]! },
    late: {
      class: classes[(at * 5 + 3 + Math.floor(at / 12)) % 12]!,
      color: colors[(at + 2 + (at % 3)) % 6]!,
    },
  }))
    .filter(({ early, late }) => early.class !== late.class && early.color !== late.color)
    .slice(0, count);
  const generator = await infinityDefinition(await embeddedModelPath("generator")).open({}, here);
  const stages = generator.traits.stages.length;
  const columns: Columns = new Map();
  const asked = (name: string, color?: string) =>
    ({
      tag: color ? "colors" : "single_object",
      include: [{ class: name, count: 1, ...(color ? { color } : {}) }],
      prompt: name,
    }) as GenevalMetadata;
  for (const [index, { early, late }] of pairs.entries()) {
    const text = (of: typeof early) => `a photo of a ${of.color} ${of.class}`;
    for (let stage = 0; stage <= stages; stage++) {
      const task: Task = {
        prompt: text(stage === 0 ? late : early),
        seed: 0,
        ...(stage > 0 && stage < stages ? { promptAt: [{ stage, prompt: text(late) }] } : {}),
      };
      const { images } = await draw(generator, task);
      const share = async (metadata: readonly GenevalMetadata[]) => {
        const all = await Promise.all(metadata.map((each) => verdicts(images, each)));
        return mean(images.map((_, at) => Math.max(...all.map((each) => each[at]!))));
      };
      push(columns, `from stage ${stage}`, {
        earlyObject: await share([asked(early.class)]),
        lateObject: await share([asked(late.class)]),
        earlyColor: await share([asked(early.class, early.color), asked(late.class, early.color)]),
        lateColor: await share([asked(early.class, late.color), asked(late.class, late.color)]),
      });
    }
    await write("commitment", { pairs: index + 1, images: ids.length * (index + 1) }, columns);
  }
  await generator[Symbol.asyncDispose]();
}

async function studyCode(refiner: string, perTag: number): Promise<void> {
  const large = await infinityDefinition(await embeddedModelPath("generator")).open({}, here);
  const small = await infinityDefinition(await embeddedModelPath(refiner)).open({}, here);
  const forth = await codeDefinition.open({ settings: { drafter: "embedded", refiner } }, here);
  const back = await codeDefinition.open({ settings: { drafter: refiner, refiner: "embedded" } }, here);
  const flops = (generator: Generator) => generator.traits.cost.stages.reduce((sum, value) => sum + value, 0);
  const systems = new Map<string, Generator>([
    ["large alone", large],
    ["small alone", small],
  ]);
  for (const at of [2, 3, 4, 5]) {
    systems.set(`large drafts ${at}`, await forth.withSettings!({ at }));
    systems.set(`small drafts ${at}`, await back.withSettings!({ at }));
  }
  const speedup = Object.fromEntries(
    [...systems].map(([name, generator]) => [name, Number((flops(large) / flops(generator)).toFixed(2))]),
  );
  const columns: Columns = new Map();
  const prompts = promptsOf(perTag, "next-scale-code").toSorted((a, b) => (a.prompt < b.prompt ? -1 : 1));
  for (const [index, metadata] of prompts.entries()) {
    const task = { prompt: metadata.prompt, seed: 0 };
    const whole = await draw(large, task);
    const right = await verdicts(whole.images, metadata);
    for (const [name, generator] of systems) {
      push(columns, name, await compare(await draw(generator, task), whole, metadata, right));
    }
    await write("code", { prompts: index + 1, images: ids.length * (index + 1), speedup }, columns);
  }
  for (const generator of [large, small, forth, back]) await generator[Symbol.asyncDispose]();
}

const [study, ...given] = process.argv.slice(2);
if (study === "cache") await studyCache(Number(given[0] ?? 2));
else if (study === "commitment") await studyCommitment(Number(given[0] ?? 12));
else if (study === "code") await studyCode(given[0] ?? "small", Number(given[1] ?? 4));
else if (study === "best") await studyBest(judge, Number(given[0] ?? 30));
else if (study === "refine") await studyRefine(judge, Number(given[0] ?? 17));
else if (study === "passes") await studyPasses(judge, Number(given[0] ?? 30));
else if (study === "steps") await studySteps(judge, Number(given[0] ?? 20));
else if (study === "shapes") await studyShapes(judge, Number(given[0] ?? 16));
else if (study === "rejection") await studyRejection(judge, Number(given[0] ?? 80));
else if (study === "tables") {
  for (const name of [
    "cache",
    "commitment",
    "code",
    "best",
    "refine",
    "passes",
    "steps",
    "shapes",
    "rejection",
  ])
    if (existsSync(`results/next-scale/${name}.json`)) await tabulate(name);
} else
  throw new Error(
    "name a study: cache, commitment, code, best, refine, passes, steps, shapes or rejection; or tables",
  );
await judge[Symbol.asyncDispose]();

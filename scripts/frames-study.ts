/**
 * Two figures of merit of clips. FAR: does a tree over time beat best-of-n clips at equal FLOPs? Epona: what is left of the
 * return that the best of 32 plans has when 32 plans are pruned to two before a frame is drawn? Writes
 * `results/frames/{far,epona}.{json,md}`.
 *
 *     npx tsx scripts/frames-study.ts --prompts 40 --drives 12
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { drive } from "../rewards/drive.ts";
import { track } from "../rewards/track.ts";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openDetector } from "../src/assemble/open-judge.ts";
import { FULL_VIEW, type Picture, type Session, stillOf } from "../src/core/generator.ts";
import { childIds } from "../src/core/ids.ts";
import type { Reward } from "../src/core/reward.ts";
import { createRng } from "../src/core/rng.ts";
import type { Detector } from "../src/eval/geneval/judge-ports.ts";
import { colorNames } from "../src/eval/geneval/vocabulary.ts";
import { type Interval, intervals } from "../src/eval/statistics/intervals.ts";
import { makeFolder } from "../src/io/atomic.ts";

const { values } = parseArgs({
  options: {
    prompts: { type: "string", default: "40" },
    drives: { type: "string", default: "12" },
    seed: { type: "string", default: "frames" },
    judge: { type: "string", default: "detector-b" },
    out: { type: "string", default: "results/frames" },
    only: { type: "string" },
  },
});

/** The moving world of training/ttsvar/frames/worlds.py. */
const THINGS =
  "sports ball,car,airplane,bus,boat,bird,cat,dog,cow,umbrella,suitcase,banana,clock,teddy bear,cup,book".split(
    ",",
  );
const COLORS = "red,yellow,green,blue,purple,pink,brown,black".split(",");
const WAYS: Readonly<Record<string, readonly [number, number]>> = {
  ...{ right: [1, 0], left: [-1, 0], down: [0, 1], up: [0, -1] },
};
const CARS = ["red", "green", "blue", "purple"];
const WIDTH = 4;
const KEPT = 2;
const CLIPS = 5;
const PLANS = 32;
const FULL_DRAWN = 2;
const DRAFT = { ...FULL_VIEW, quality: "draft" } as const;

interface Result {
  readonly model: string;
  readonly units: number;
  readonly flops: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, Interval>>;
}

/** The first `count` of all, in an order that the seed decides. */
function drawn<T>(all: readonly T[], count: number, name: string): T[] {
  const stream = createRng(values.seed, name).stream("stats", name, 0);
  const keyed = all.map((item, at) => ({ item, key: stream.uniform(at) }));
  return keyed
    .sort((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ item }) => item);
}

async function scored(reward: Reward, prompt: string, pictures: readonly Picture[]) {
  const batch = pictures.map((picture, at) => ({
    ...{ image: stillOf(picture), frames: picture.frames, prompt, metadata: {}, id: `c${at}` },
  }));
  const context = {
    ...{ signal: new AbortController().signal, seed: values.seed, log: () => undefined },
    stage: { kind: "final", index: 0, count: 1 } as const,
  };
  const { scores, details } = await reward.score(batch, context);
  return { scores: Array.from(scores, Number), details: details ?? [] };
}

const best = (scores: readonly number[]): number => scores.indexOf(Math.max(...scores));
const order = (scores: readonly number[]): number[] =>
  [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);

function interval(list: readonly number[], range: readonly [number, number]): Interval {
  return intervals(
    list.map((value) => ({ stratum: "all", values: [value] })),
    { range },
  ).overall;
}

/** Whether the judge finds the thing in its colour in every frame, and sees it go where the prompt says. */
async function persists(
  judge: Detector,
  [thing, color, way]: readonly [string, string, string],
  { frames }: Picture,
): Promise<number> {
  const seen = await judge.detect(frames);
  const places = seen.map((objects) => {
    const found = objects
      .filter(({ label, score }) => label === thing && score > 0.3)
      .sort((a, b) => b.score - a.score)
      .find(({ colors }) => colors && colorNames[colors.indexOf(Math.max(...colors))] === color);
    const [x, y] = WAYS[way]!;
    return found ? ((found.box[0] + found.box[2]) * x + (found.box[1] + found.box[3]) * y) / 2 : Number.NaN;
  });
  const steps = places.slice(1).map((place, at) => place - places[at]!);
  return Number(steps.every((step) => step > -4) && places.at(-1)! - places[0]! >= 16);
}

async function finish(session: Session, until: number): Promise<Session> {
  while (session.stage < until) await session.step();
  return session;
}

/** Four clips, two frames old; after the second and the fourth frame the better two go on in two copies each. */
async function tree(session: Session, count: number, reward: Reward, prompt: string) {
  const rows = [...Array(WIDTH).keys()];
  const copies = new Map();
  for (const stage of [2, 4]) {
    await finish(session, stage);
    const { scores } = await scored(reward, prompt, await session.view(rows, DRAFT));
    const kept = order(scores).slice(0, KEPT);
    const parents = kept.flatMap((row) => new Array<number>(WIDTH / KEPT).fill(row));
    const ids = childIds(session.ids, parents, copies);
    await session.select(ids.map((id, at) => ({ id, parent: parents[at]! })));
  }
  await finish(session, count);
  return answer(session, reward, prompt);
}

/** The best finished clip by its draft, in full. */
async function answer(session: Session, reward: Reward, prompt: string) {
  const rows = [...session.ids.keys()];
  const { scores } = await scored(reward, prompt, await session.view(rows, DRAFT));
  const [picture] = await session.view([best(scores)], FULL_VIEW);
  return picture!;
}

async function far(report: (result: Result) => void): Promise<void> {
  const { definition } = await findGenerator("far");
  await using generator = await definition.open({}, { threads: 1 });
  await using judge = await openDetector(values.judge);
  await using reward = await track.create({}, {} as Parameters<typeof track.create>[1]);
  const { stages, cost, name, version } = generator.traits;
  const prompts = drawn(
    THINGS.flatMap((thing) =>
      COLORS.flatMap((color) => Object.keys(WAYS).map((way) => [thing, color, way] as const)),
    ),
    Number(values.prompts),
    "far",
  );
  const found = { one: [] as number[], clips: [] as number[], tree: [] as number[] };
  const rewards = { one: [] as number[], clips: [] as number[], tree: [] as number[] };
  const frames = cost.stages.reduce((sum, flops) => sum + flops, 0);
  const draft = cost.drafts!.now! / stages.length;
  const difference = (lists: typeof found): number[] =>
    lists.tree.map((value, at) => value - lists.clips[at]!);
  for (const said of prompts) {
    const [thing, color, way] = said;
    const prompt = `a ${color} ${thing} moving ${way}`;
    const ids = Array.from({ length: CLIPS }, (_, at) => `c${at}`);
    // Both searches begin with the same draws: the tree's first two frames are four of the clips' own.
    const session = await finish(await generator.start({ prompt, seed: values.seed }, ids), 2);
    const young = await session.branch(ids.slice(0, WIDTH).map((id, parent) => ({ id, parent })));
    await finish(session, stages.length);
    const [first] = await session.view([0], FULL_VIEW);
    const pictures = {
      one: first!,
      clips: await answer(session, reward, prompt),
      tree: await tree(young, stages.length, reward, prompt),
    };
    for (const key of ["one", "clips", "tree"] as const) {
      found[key].push(await persists(judge, said, pictures[key]));
      rewards[key].push((await scored(reward, prompt, [pictures[key]])).scores[0]!);
    }
    session.release();
    report({
      ...{ model: `${name} ${version}`, units: found.one.length },
      flops: {
        [`best of ${CLIPS}`]: CLIPS * (frames + stages.length * draft) + cost.views.now!,
        tree: WIDTH * (frames + (2 + 4 + stages.length) * draft) + cost.views.now!,
      },
      figures: {
        "one clip: persists": interval(found.one, [0, 1]),
        [`best of ${CLIPS}: persists`]: interval(found.clips, [0, 1]),
        "tree: persists": interval(found.tree, [0, 1]),
        "tree less best-of-n: persists": interval(difference(found), [-1, 1]),
        "one clip: track": interval(rewards.one, [0, 1]),
        [`best of ${CLIPS}: track`]: interval(rewards.clips, [0, 1]),
        "tree: track": interval(rewards.tree, [0, 1]),
        "tree less best-of-n: track": interval(difference(rewards), [-1, 1]),
      },
    });
  }
}

/** All prompts of the driving world. */
function drives(): string[] {
  const place = (lane: string): string => (lane === "middle" ? "in the middle" : lane);
  const lanes = ["above", "middle", "below"];
  const blocked: Readonly<Record<string, string>> = { up: "above", down: "below" };
  return CARS.flatMap((color) =>
    Object.keys(blocked).flatMap((goal) =>
      lanes.flatMap((near) => {
        const start = `a ${color} car driving ${goal} past a stop sign ${place(near)}`;
        const far = lanes.filter((lane) => lane !== near && lane !== blocked[goal]);
        return [start, ...far.map((lane) => `${start} and a fire hydrant ${place(lane)}`)];
      }),
    ),
  );
}

async function epona(report: (result: Result) => void): Promise<void> {
  const { definition } = await findGenerator("epona");
  await using generator = await definition.open({}, { threads: 1 });
  await using reward = await drive.create({}, {} as Parameters<typeof drive.create>[1]);
  const { stages, cost, name, version } = generator.traits;
  const rows = [...Array(PLANS).keys()];
  const lists = { one: [], most: [], pruned: [], less: [], agree: [] } as Record<string, number[]>;
  const [plan, ...later] = cost.stages;
  const frames = later.reduce((sum, flops) => sum + flops, 0) + cost.drafts!.now!;
  for (const prompt of drawn(drives(), Number(values.drives), "epona")) {
    const session = await generator.start(
      { prompt, seed: values.seed },
      rows.map((row) => `c${row}`),
    );
    await session.step();
    const plans = await scored(reward, prompt, await session.view(rows, DRAFT));
    // The first goes on to tell what a clip without a search is worth.
    const kept = order(plans.scores).slice(0, FULL_DRAWN);
    const drawnRows = [...new Set([0, ...kept])];
    await session.select(drawnRows.map((parent) => ({ parent, id: session.ids[parent]! })));
    await finish(session, stages.length);
    const all = [...drawnRows.keys()];
    const clips = await scored(reward, prompt, await session.view(all, FULL_VIEW));
    const returns = kept.map((row) => clips.scores[drawnRows.indexOf(row)]!);
    const same = drawnRows.map((row, at) => {
      const [seen, meant] = [clips.details[at], plans.details[row]].map(
        (each) => each!["places"] as readonly (readonly number[] | null)[],
      );
      return seen!.filter((spot, frame) => String(spot) === String(meant![frame])).length / meant!.length;
    });
    lists["one"]!.push(clips.scores[0]!);
    lists["most"]!.push(Math.max(...plans.scores));
    lists["pruned"]!.push(Math.max(...returns));
    lists["less"]!.push(Math.max(...returns) - Math.max(...plans.scores));
    lists["agree"]!.push(same.reduce((sum, value) => sum + value, 0) / same.length);
    session.release();
    report({
      ...{ model: `${name} ${version}`, units: lists["one"]!.length },
      flops: {
        [`${PLANS} clips`]: PLANS * (plan! + frames) + cost.views.now!,
        [`${PLANS} plans, ${FULL_DRAWN} clips`]: PLANS * plan! + FULL_DRAWN * frames + cost.views.now!,
      },
      figures: {
        "one clip: return of its frames": interval(lists["one"]!, [0, 1]),
        [`best of ${PLANS} plans: return of the plan`]: interval(lists["most"]!, [0, 1]),
        [`${PLANS} plans, ${FULL_DRAWN} clips: return of the frames`]: interval(lists["pruned"]!, [0, 1]),
        "the latter less the former": interval(lists["less"]!, [-1, 1]),
        "frames whose car is where the plan has it": interval(lists["agree"]!, [0, 1]),
      },
    });
  }
}

function table({ model, units, flops, figures }: Result): string {
  const number = (value: number): string => value.toFixed(3);
  const rows = Object.entries(figures).map(
    ([key, { estimate, low, high }]) => `| ${key} | ${number(estimate)} [${number(low)}, ${number(high)}] |`,
  );
  const prices = Object.entries(flops).map(
    ([key, value]) => `| ${key}: FLOPs | ${(value / 1e9).toFixed(1)} G |`,
  );
  return `${model}, ${units} prompts.\n\n| | |\n|---|---|\n${[...rows, ...prices].join("\n")}`;
}

makeFolder(values.out);
for (const [name, run] of Object.entries({ far, epona })) {
  if (values.only !== undefined && values.only !== name) continue;
  // After every prompt, so that a study that is stopped has measured what it has measured.
  await run((result) => {
    writeFileSync(`${values.out}/${name}.json`, `${JSON.stringify(result, null, 1)}\n`);
    writeFileSync(`${values.out}/${name}.md`, `${table(result)}\n`);
    console.error(`${name}: ${result.units} prompts`);
  });
}

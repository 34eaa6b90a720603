import type { Command } from "commander";

/** A command as `--help` lists it. Its file is imported only when it is asked for. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ register(program: Command): void }>;
}

/** All commands, in the order of `tts-var --help`. A new command is one line here and one file in `commands/`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "search",
    summary: "draw a prompt, searching for the best image within a budget",
    load: () => import("./commands/search.ts"),
  },
  {
    name: "show",
    summary: "tell how a picture was made, and the command that makes it again",
    load: () => import("./commands/show.ts"),
  },
  {
    name: "report",
    summary: "write pages of searches, GenEval runs and studies to look at",
    load: () => import("./commands/report.ts"),
  },
  {
    name: "studio",
    summary: "search in the browser: start, watch, compare and take up searches",
    load: () => import("./commands/studio.ts"),
  },
  {
    name: "plan",
    summary: "print what a search would cost, before any model loads",
    load: () => import("./commands/plan.ts"),
  },
  {
    name: "list",
    summary: "list strategies, rewards, generators, features, models or configs",
    load: () => import("./commands/list.ts"),
  },
  {
    name: "geneval",
    summary: "evaluate by GenEval's protocol: prompts, images, verdicts, tables, comparisons",
    load: () => import("./commands/geneval.ts"),
  },
  {
    name: "bench",
    summary: "evaluate by other benchmarks, or make images for their official judges",
    load: () => import("./commands/bench.ts"),
  },
  {
    name: "worker",
    summary: "work through the queue of a geneval run on other machines",
    load: () => import("./commands/worker.ts"),
  },
  {
    name: "reward",
    summary: "check a reward of your own: form, order, finiteness, determinism, time",
    load: () => import("./commands/reward.ts"),
  },
  {
    name: "replay",
    summary: "decide a recorded search again from its trace",
    load: () => import("./commands/replay.ts"),
  },
  {
    name: "calibrate",
    summary: "measure by scale how well previews predict the final reward",
    load: () => import("./commands/calibrate.ts"),
  },
  {
    name: "calibrate-cache",
    summary: "identify the layers and heads that look back, for policies of the cache",
    load: () => import("./commands/calibrate-cache.ts"),
  },
  {
    name: "study",
    summary: "compare strategies at equal cost, with intervals and controls",
    load: () => import("./commands/study.ts"),
  },
  {
    name: "tokens",
    summary: "turn an image into tokens of a model, to draw it again or vary it",
    load: () => import("./commands/tokens.ts"),
  },
  {
    name: "serve-sampler",
    summary: "serve a generator to searches in other processes or on other machines",
    load: () => import("./commands/serve-sampler.ts"),
  },
  {
    name: "serve-strategy",
    summary: "decide for loops of other programs which candidates go on",
    load: () => import("./commands/serve-strategy.ts"),
  },
  {
    name: "models",
    summary: "list and verify the models at hand",
    load: () => import("./commands/models.ts"),
  },
  {
    name: "doctor",
    summary: "check this machine and say what to mend",
    load: () => import("./commands/doctor.ts"),
  },
];

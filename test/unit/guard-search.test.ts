import { expect, test } from "vitest";
import { dryRun } from "../../src/core/dry-run.ts";
import { refine, rewind, score, select, start, step, stepTo } from "../../src/core/program.ts";
import type { SearchFunction } from "../../src/core/strategy.ts";
import { createSpace } from "../../src/engine/plan.ts";
import { guardSearch } from "../../src/plugins/guard-search.ts";
import { planInputOf, searchInput } from "./support/search-run.ts";

/** Runs a user's program to its end, dry. */
async function run(search: unknown) {
  const guarded = guardSearch(search as SearchFunction, "strategy plug-in ./mine.mjs", import.meta.filename);
  const space = createSpace(planInputOf(await searchInput("single", 4)), (limit) => limit);
  return dryRun(guarded, space);
}

const release = { type: "release", population: { key: 1 } };

test("a sound program passes", async () => {
  const { spending } = await run(function* () {
    const population = yield* stepTo(yield* start(2), 3);
    const finalists = yield* stepTo(yield* select(population, [1]), 6);
    return { finalists, best: 0 };
  } satisfies SearchFunction);
  expect(spending.total).toBeGreaterThan(0);
});

test.each<[string, unknown, RegExp]>([
  ["is no generator", () => 5, /returned no search program; write "export default function\* \(space\)/],
  ["is asynchronous", async () => 5, /returned no search program/],
  [
    "throws",
    function* () {
      yield* start(1);
      throw new Error("no idea");
    },
    /mine\.mjs failed: no idea/,
  ],
  [
    "yields no action",
    function* () {
      yield { type: "dance" };
    },
    /yielded something that is no action; use yield\* with start, step, refine, rewind, score/,
  ],
  ["returns no answer", function* () {}, /returned no answer; return \{ finalists, best \}/],
  [
    "never ends",
    function* () {
      for (;;) yield* start(1);
    },
    /did not end within 20000 actions/,
  ],
  ["starts none", () => start(0), /starts 0 candidates; start takes a whole number from 1/],
  ["starts parts", () => start(2.5), /starts 2.5 candidates/],
  ["releases nothing it has", () => one(release), /in release that was replaced or released|no population/],
  [
    "picks out of range",
    function* () {
      yield* select(yield* start(2), [0, 2]);
    },
    /picks row 2 of 2; rows are whole numbers from 0 to 1/,
  ],
  [
    "picks nobody",
    function* () {
      yield* select(yield* start(2), []);
    },
    /picks nobody in select/,
  ],
  [
    "uses a stale population",
    function* () {
      const first = yield* start(2);
      yield* step(first);
      yield* step(first);
    },
    /a population in step that was replaced or released before; go on with what step/,
  ],
  [
    "steps too far",
    function* () {
      yield* step(yield* stepTo(yield* start(1), 6));
    },
    /have done all 6 stages/,
  ],
  [
    "looks too early",
    function* () {
      yield* score(yield* start(1), "sum");
    },
    /asks for score before the first stage/,
  ],
  [
    "asks for another reward",
    function* () {
      yield* score(yield* stepTo(yield* start(1), 1), "constructor");
    },
    /scores with "constructor", which this search does not have; it has sum/,
  ],
  [
    "asks for a view of no size",
    function* () {
      yield* score(yield* stepTo(yield* start(1), 1), "sum", { view: { size: 0, look: "now" } });
    },
    /a view of \{"size":0,"look":"now"\}; views have a size above 0 and at most 1, and look now/,
  ],
  [
    "refines nothing",
    function* () {
      yield* refine(yield* stepTo(yield* start(1), 1), 0);
    },
    /refines a share of 0; give one above 0 and at most 1/,
  ],
  [
    "goes back to where it is",
    function* () {
      yield* rewind(yield* stepTo(yield* start(1), 1), 1);
    },
    /rewinds to stage 1 from 1; give a whole number below it/,
  ],
  [
    "returns unfinished finalists",
    function* () {
      return { finalists: yield* stepTo(yield* start(1), 2), best: 0 };
    },
    /returns finalists that have done 2 of 6 stages; finish them with stepTo/,
  ],
  [
    "has no such best",
    function* () {
      return { finalists: yield* stepTo(yield* start(1), 6), best: 1 };
    },
    /returns as best row 1 of 1/,
  ],
])("a program that %s is named", async (_name, search, message) => {
  const error: unknown = await run(search).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "PLUGIN_INVALID", message: expect.stringMatching(message) });
  expect((error as Error).message).toContain("./mine.mjs");
});

function* one(action: unknown) {
  yield action;
}

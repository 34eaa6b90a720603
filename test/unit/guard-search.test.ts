import { expect, test } from "vitest";
import type { SearchObservation } from "../../src/core/program.ts";
import type { SearchFunction, SearchSpace } from "../../src/core/strategy.ts";
import { guardSearch } from "../../src/plugins/guard-search.ts";

const answer: SearchObservation = { population: { key: 1, ids: ["c0"], stage: 0 }, seen: null };

/** Runs a user's program to its end; every action is answered alike. */
function run(search: unknown): unknown {
  const program = guardSearch(
    search as SearchFunction,
    "strategy plug-in ./mine.mjs",
    import.meta.filename,
  )({} as SearchSpace);
  let turn = program.next();
  while (!turn.done) turn = program.next(answer);
  return turn.value;
}

const release = { type: "release", population: { key: 1 } };

test("a sound program passes unchanged", () => {
  const outcome = { finalists: { ids: ["c0"] }, best: 0 };
  const seen: unknown[] = [];
  const result = run(function* () {
    seen.push(yield release);
    return outcome;
  });
  expect(result).toBe(outcome);
  expect(seen).toEqual([answer]);
});

test.each<[string, unknown, RegExp]>([
  ["is no generator", () => 5, /returned no search program; write "export default function\* \(space\)/],
  ["is asynchronous", async () => 5, /returned no search program/],
  [
    "throws",
    function* () {
      yield release;
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
      for (;;) yield release;
    },
    /did not end within 20000 actions/,
  ],
])("a program that %s is named", (_name, search, message) => {
  let error: unknown;
  try {
    run(search);
  } catch (caught) {
    error = caught;
  }
  expect(error).toMatchObject({ code: "PLUGIN_INVALID", message: expect.stringMatching(message) });
  expect((error as Error).message).toContain("./mine.mjs");
});

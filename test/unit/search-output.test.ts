import { expect, test } from "vitest";
import { describeSearch } from "../../src/cli/search-output.ts";
import { verdictOf } from "../../src/run/reward-verdict.ts";
import type { SearchSummary } from "../../src/run/summary.ts";

const atom = (question: string, expected: string, p: number) => ({
  ...{ question, expected, p, skill: "count", parent: [] },
});
const candidate = (id: string, score: number, details: unknown) => ({
  ...{ id, parent: null, score, image: `/run/${id}.png`, pixelHash: id, ...verdictOf(details) },
});
const best = candidate("c1", 0.75, {
  reason: "expected cat>=1, found 0\nno target for dog to be above",
  atoms: [atom("How many dog?", "at least 1", 1), atom("How many cat?", "at least 1", 0.25)],
});

const summary: SearchSummary = {
  ...{ schemaVersion: 1, prompt: "p", seed: 0, strategy: "best-of-n", model: "embedded", reward: "geneval" },
  budget: { limit: 2, spent: 2, flops: { unit: 1, limit: 2, total: 2, byKind: { decode: 2 }, byScale: [2] } },
  ...{ best, candidates: [candidate("c0", 0.5, { conditions: [] }), best], runDir: "/run" },
};

test("people are told which questions the best image answers, and why others fail", () => {
  const text = describeSearch(summary, []);
  expect(text).toContain("yes  1.00  How many dog? at least 1\n");
  expect(text).toContain("no   0.25  How many cat? at least 1\n");
  expect(text).toMatch(/why not\nc1 \*.*expected cat>=1, found 0; no target for dog to be above\nc0/);
});

test("rewards without questions are told as before", () => {
  const plain = { ...summary, best: candidate("c0", 1, undefined), candidates: [candidate("c0", 1, null)] };
  expect(describeSearch(plain, [])).not.toMatch(/why not|yes/);
});

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runHere } from "./support/run-here.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-mistakes-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const library = pathToFileURL(resolve("src/index.ts")).href;

/** Writes a named block of a page as a file that finds its imports. */
async function blockOf(page: string, name: string): Promise<string> {
  const text = await readFile(resolve("docs", page), "utf8");
  const [, body] = new RegExp(`\`\`\`ts ${name}\\n(.*?)\`\`\``, "s").exec(text)!;
  const path = join(dir, name);
  const zod = JSON.stringify(import.meta.resolve("zod"));
  await writeFile(path, body!.replace('"tts-var"', JSON.stringify(library)).replace('"zod"', zod));
  return path;
}

test.each([
  ["add-a-strategy.md", "my-strategy.ts"],
  ["search.md", "better-half.ts"],
])("%s: %s fits every budget from one unit", async (page, name) => {
  const strategy = await blockOf(page, name);
  for (const budget of ["1", "2", "3", "5", "8"]) {
    const { code, stderr } = await runHere(["plan", "--strategy", strategy, "--budget", budget, "--json"]);
    expect([budget, code, stderr]).toEqual([budget, 0, ""]);
  }
});

test.each([
  ["start(0)", /starts 0 candidates/],
  ["start(2.5)", /starts 2.5 candidates/],
  ["select(yield* start(2), [7])", /picks row 7 of 2/],
])("a strategy that says %s is named in one line", async (action, message) => {
  const path = join(dir, `wrong-${action.replace(/\W/g, "")}.mjs`);
  const imports = `import { select, start } from ${JSON.stringify(library)};`;
  await writeFile(path, `${imports}\nexport default function* () { yield* ${action}; }\n`);
  for (const argv of [["plan"], ["search", "--prompt", "a photo of a dog", "--out", join(dir, "out")]]) {
    const { code, stderr } = await runHere([...argv, "--strategy", path]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  }
});

test.each([
  ["title: [", /x\.yaml:\d+:\d+: /],
  ["- a list", /x\.yaml:1: must hold "key: value" lines/],
  ["title: x\narms: *nowhere", /x\.yaml: .*nowhere/],
  [
    "title: x\nreference: a\narms:\n  - name: a\n    strategy: { name: single }\n    budget: 3",
    /x\.yaml:4: arms\.0: .*budget/,
  ],
  ["title: x\nreference: b\narms:\n  - { name: a, strategy: { name: single } }", /x\.yaml:2: reference "b"/],
  [
    "title: x\nreference: a\nsearch: { model: embedded, budgets: 3 }\narms:\n  - { name: a, strategy: { name: single } }",
    /x\.yaml:3: search\.budgets|x\.yaml:3: search.*budgets/,
  ],
])("a study file like %j is refused by its line", async (text, message) => {
  const path = join(dir, "x.yaml");
  await writeFile(path, text);
  const { code, stderr } = await runHere(["study", "run", path, "--out", dir]);
  expect(stderr).toMatch(message);
  expect(code).toBe(2);
  expect(stderr).not.toMatch(/\n\s+at /);
});

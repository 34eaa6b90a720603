import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BUILT } from "../build.ts";
import { start } from "./support/process.ts";
import { runHere } from "./support/run-here.ts";

// The tutorial is executed as it stands.
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-tutorial-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const words = (line: string) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2]!);

it("leads from the first command to a strategy of one's own", { timeout: 600_000 }, async () => {
  const library = JSON.stringify(pathToFileURL(join(BUILT, "src/index.js")).href);
  const page = await readFile("docs/tutorial.md", "utf8");
  const said = new Map<string, string>();
  for (const [, language, name, body] of page.matchAll(/```(\w+)(?: (\S+))?\n(.*?)```/gs)) {
    if (language === "js") {
      await writeFile(join(dir, name!), body!.replace('"tts-var"', library));
      continue;
    }
    for (const line of body!.trim().split("\n")) {
      const [npx, program, ...argv] = words(line);
      expect([npx, program]).toEqual(["npx", "tts-var"]);
      // The first one as a process of its own, as a reader does; the others here, which is faster.
      const { code, stdout, stderr } = await (said.size === 0 ? start(dir, argv).ended : runHere(argv, dir));
      expect({ line, code, stderr: code === 0 ? "" : stderr }).toEqual({ line, code: 0, stderr: "" });
      said.set(line, stdout + stderr);
    }
  }
  const told = (part: string): string => [...said].find(([line]) => line.includes(part))?.[1] ?? "";
  expect(told("runs/again")).toMatch(/ again, to the pixel/);
  expect(told("runs/other")).not.toMatch(/ again, to the pixel/);
  expect(told("replay")).toMatch(/events decided again identically/);

  // What the page says of its first search and of its last.
  const runs = join(dir, "results", "runs");
  const trace = await readFile(join(runs, "first", "trace.jsonl"), "utf8");
  const begun = trace.match(/"type":"start".*?\]/)![0].match(/"c\d+"/g)!.length;
  const finished = (await readFile(join(runs, "first", "candidates.jsonl"), "utf8"))
    .trim()
    .split("\n").length;
  expect(begun).toBeGreaterThan(2 * finished);
  expect(await readFile(join(runs, "own", "report.html"), "utf8")).toMatch(/better half.*; preview \d/s);
});

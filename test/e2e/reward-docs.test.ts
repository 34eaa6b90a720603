import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { runCommandLine } from "../../src/cli/run.ts";
import { readRunRecord, readTrace } from "../../src/run/run-folder.ts";
import { BUILT } from "../build.ts";
import { program } from "./support/program.ts";

// The how-to pages are executed as they stand: every named block becomes a file, every command line runs.
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-docs-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Runs a command line as a process of its own in the pages' folder. */
function run(argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const options = { cwd: dir, env: { ...process.env, CI: "1", NO_COLOR: "1" }, maxBuffer: 2 ** 26 };
    execFile(process.execPath, [program, ...argv], options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** Runs a command line in this process, which is faster; files are given by their full path. */
async function runHere(argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += text;
      return true;
    }),
  );
  spies.push(vi.spyOn(process, "cwd").mockReturnValue(dir) as never);
  try {
    return { code: await runCommandLine(argv), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Several processes. */
const slow = 300_000;
const library = pathToFileURL(join(BUILT, "src/index.js")).href;

/** Writes the page's files and returns its command lines. */
async function unpack(page: string): Promise<string[][]> {
  const text = await readFile(resolve("docs", page), "utf8");
  const commands: string[][] = [];
  for (const [, language, name, body] of text.matchAll(/```(\w+)(?: (\S+))?\n(.*?)```/gs)) {
    if (language === "sh") commands.push(...body!.trim().split("\n").map(words));
    else if (name) await writeFile(join(dir, name), body!.replace(/"tts-var"/, JSON.stringify(library)));
  }
  return commands;
}

const words = (line: string) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2]!);

async function runPage(page: string) {
  const outcomes = [];
  for (const [program, ...argv] of await unpack(page)) {
    expect(program).toBe("tts-var");
    const flags =
      argv[0] === "search" ? ["--json", "--sheet", "none", "--report", "none", "--out", join(dir, page)] : [];
    const { code, stdout, stderr } = await run([...argv, ...flags]);
    expect({ argv, code, stderr: code === 0 ? "" : stderr }).toEqual({ argv, code: 0, stderr: "" });
    outcomes.push(stdout);
  }
  return outcomes;
}

test(
  "add a reward: the check says ok, and the five lines choose the image",
  async () => {
    const [checked, searched] = await runPage("add-a-reward.md");
    expect(checked).toContain("ok: form, length, order, finiteness and determinism hold");
    const { best, candidates, reward } = JSON.parse(searched!);
    expect(reward).toBe("./my-reward.mjs");
    expect(candidates.length).toBe(3);
    const scores = candidates.map((candidate: { score: number }) => candidate.score);
    expect(best.score).toBe(Math.max(...scores));

    // The opposite reward chooses another image of the same three.
    const text = await readFile(join(dir, "my-reward.mjs"), "utf8");
    await writeFile(join(dir, "dark.mjs"), text.replace("mean(image.data) /", "-mean(image.data) /"));
    const same = ["search", "--prompt", "a photo of a red car", "--budget", "3", "--strategy", "best-of-n"];
    const dark = await runHere([
      ...same,
      "--reward",
      join(dir, "dark.mjs"),
      "--json",
      "--out",
      join(dir, "dark"),
    ]);
    const other = JSON.parse(dark.stdout);
    const hashes = (result: typeof other) => result.candidates.map((c: { pixelHash: string }) => c.pixelHash);
    expect(hashes(other)).toEqual(hashes({ candidates }));
    expect(other.best.pixelHash).not.toBe(best.pixelHash);

    // The other two forms on the page.
    const model = await runHere(["reward", "check", join(dir, "my-model.mjs")]);
    expect(model).toMatchObject({ code: 0, stdout: expect.stringContaining("redness (version 2+") });
    const mixed = await runHere([
      "plan",
      "--config",
      join(dir, "mixture.yaml"),
      "--prompt",
      "a photo of a dog",
    ]);
    expect(mixed).toMatchObject({ code: 0, stdout: expect.stringContaining("reward weighted") });
  },
  slow,
);

test.each(["add-a-strategy.md", "add-features.md"])(
  "%s runs as written",
  async (page) => {
    const outcomes = await runPage(page);
    const { best, budget } = JSON.parse(outcomes.at(-1)!);
    expect(best.pixelHash).toMatch(/^[0-9a-f]{64}$/);
    expect(budget.spent).toBeLessThanOrEqual(budget.limit);
  },
  slow,
);

test.each(["my-strategy.ts", "my-features.ts"])("examples/%s is what its page shows", async (name) => {
  await unpack(name === "my-strategy.ts" ? "add-a-strategy.md" : "add-features.md");
  const example = await readFile(resolve("examples", name), "utf8");
  const shown = await readFile(join(dir, name), "utf8");
  expect(shown).toBe(
    example.replace('"../src/index.ts"; // outside this repository: "tts-var"', `"${library}";`),
  );
});

test("a reward that fails in the middle leaves a valid run folder and its reason", async () => {
  const reward = resolve("test/fixtures/plugins/throws.mjs");
  const out = join(dir, "failed");
  const argv = ["search", "--prompt", "x", "--model", "toy", "--strategy", "best-of-n", "--reward", reward];
  const { code, stderr } = await runHere([...argv, "--out", out]);
  expect(code).toBe(3);
  expect(stderr).toMatch(
    /error: reward throws \(.*throws\.mjs\) failed on candidates c0, .*: no weights in this reward \(throws\.mjs:2:9\)/,
  );
  expect(await readRunRecord(out)).toMatchObject({ status: "failed" });
  expect((await readTrace(out)).rows.map((event) => event.type)).toContain("step");
});

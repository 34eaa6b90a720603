import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findGenerator } from "../../src/assemble/find-generator.ts";
import { readRunRecord } from "../../src/run/run-folder.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";
import { program } from "./support/program.ts";
import { runHere } from "./support/run-here.ts";

// docs/add-a-generator.md is executed as it stands: its blocks become files, its command lines run.
let dir: string;
let page: string;
const blocks = new Map<string, string>();
const at = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-generator-"));
  page = await readFile("docs/add-a-generator.md", "utf8");
  for (const [, name, body] of page.matchAll(/```\w+ (\S+)\n(.*?)```/gs)) blocks.set(name!, body!);
  await writeFile(at("my-generator.mjs"), blocks.get("my-generator.mjs")!);
  await cp("examples/my-reward.mjs", at("my-reward.mjs"));
});
afterAll(() => rm(dir, { recursive: true }));

const words = (line: string) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2]!);
/** Runs a program of Node's in the page's folder. */
const node = (argv: readonly string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    const options = { cwd: dir, env: { ...process.env, CI: "1", NO_COLOR: "1" } };
    execFile(process.execPath, argv, options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });

const run = (argv: readonly string[]) => node([program, ...argv]);

const searchArgs = (model: string, ...more: string[]) => [
  ...["search", "-p", "a red car", "--model", model, "--reward", at("my-reward.mjs"), "--strategy"],
  ...["best-of-n", "-b", "4", "--json", "--quiet", "--sheet", "none", "--report", "none", ...more],
];
const search = async (model: string, out: string, ...more: string[]) => {
  const { code, stdout, stderr } = await runHere(searchArgs(model, "--out", at(out), ...more));
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as {
    best: { id: string; pixelHash: string };
    candidates: { id: string; pixelHash: string }[];
  };
};

describe("docs/add-a-generator.md", { timeout: 180_000 }, () => {
  it("fits on a screen, and shows the file of examples/", async () => {
    expect(page.split("\n").length).toBeLessThan(110);
    expect(blocks.get("my-generator.mjs")).toBe(await readFile("examples/my-generator.mjs", "utf8"));
    expect(blocks.get("my-generator.mjs")).not.toMatch(/\bimport\b/);
  });

  it("its commands plan and search, with other pictures under another setting", async () => {
    const shown = /```sh\n(.*?)```/s.exec(page)![1]!.trim().split("\n").map(words);
    expect(shown.map(([program, command]) => [program, command])).toEqual([
      ["tts-var", "plan"],
      ["tts-var", "search"],
      ["tts-var", "search"],
    ]);
    const [plan, plain, calm] = await Promise.all(
      shown.map(([, ...argv], index) =>
        run(argv[0] === "plan" ? argv : [...argv, "--json", "--out", `run-${index}`]),
      ),
    );
    for (const { code, stderr } of [plan!, plain!, calm!]) expect(code, stderr).toBe(0);
    expect(plan!.stdout).toContain("16.4 kFLOPs = 4.000 of 4 units");
    const [first, second] = [plain!, calm!].map(({ stdout }) => JSON.parse(stdout));
    expect(first.candidates).toHaveLength(4);
    expect(first.best.score).toBe(Math.max(...first.candidates.map(({ score }: { score: number }) => score)));
    expect(second.best.pixelHash).not.toBe(first.best.pixelHash);
    expect(second.budget.spent).toBeLessThanOrEqual(4);
    expect((await readRunRecord(at("run-2"))).config["model"]).toEqual({
      name: "./my-generator.mjs",
      options: { calm: 0.8 },
    });
  });

  it("its contract suite passes over the file", async () => {
    const source = (path: string) => pathToFileURL(resolve(path)).href;
    const suite = blocks
      .get("my-generator.test.ts")!
      .replace("tts-var/testing", source("src/testing/index.ts"))
      .replace('"tts-var"', JSON.stringify(source("src/index.ts")));
    await writeFile(at("my-generator.test.ts"), suite);
    await symlink(resolve("node_modules"), at("node_modules"));
    const { code, stdout } = await node([resolve("node_modules/vitest/vitest.mjs"), "run", "--root", dir]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Tests\s+15 passed/)]);
  });

  it("draws kept tokens again, and varies them", async () => {
    const { candidates } = await search(at("my-generator.mjs"), "drawn");
    const kept = ["--tokens", join(at("drawn"), "tokens", "c1.json")];
    const again = await search(at("my-generator.mjs"), "again", ...kept, "--seed", "9");
    const hash = candidates.find(({ id }) => id === "c1")!.pixelHash;
    expect(new Set(again.candidates.map(({ pixelHash }) => pixelHash))).toEqual(new Set([hash]));
    const varied = await search(at("my-generator.mjs"), "varied", ...kept, "--tokens-until", "2");
    expect(new Set(varied.candidates.map(({ pixelHash }) => pixelHash)).size).toBe(4);
  });

  it("examples/my-generator.ts, which imports the package, searches too", async () => {
    const { candidates } = await search(resolve("examples/my-generator.ts"), "bands");
    expect(new Set(candidates.map(({ pixelHash }) => pixelHash)).size).toBe(4);
  });
});

describe("what a generator file does wrong is told with its name", { timeout: 60_000 }, () => {
  const changed = async (name: string, from: string, to: string) => {
    const text = blocks.get("my-generator.mjs")!;
    expect(text).toContain(from);
    await writeFile(at(name), text.replace(from, to));
    const { code, stderr } = await runHere(searchArgs(at(name), "--out", at("wrong")));
    return { code, stderr };
  };

  it.each([
    [
      "no-open.mjs",
      "  open: async",
      "  unlock: async",
      /must have describe\(\) and open\(\).*add-a-generator/,
    ],
    ["traits.mjs", "tokens: STRIPES,\n", "tokens: -1,\n", /its traits are not those of a generator/],
    ["older.mjs", "specificationVersion: 2", "specificationVersion: 1", /specificationVersion/],
    ["throws.mjs", "const repeat = ", "throw new Error('out of paint'); const repeat = ", /: out of paint/],
  ])("%s", async (name, from, to, message) => {
    const { code, stderr } = await changed(name, from, to);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(stderr).toContain(`generator plug-in ${at(name)}: `);
  });

  it("settings and shapes that it does not have are refused", async () => {
    const wrong = await runHere(searchArgs(at("my-generator.mjs"), "--temperature", "0.5"));
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringMatching(/no setting "temperature", only calm/),
    ]);
    const large = await runHere(searchArgs(at("my-generator.mjs"), "--size", "512x512"));
    expect([large.code, large.stderr]).toEqual([
      2,
      expect.stringMatching(/no size 512x512; it has 1:1 \(32x32\)/),
    ]);
  });
});

const open = async (file: string) => (await findGenerator(resolve(file))).definition.open();
describeSampler("examples/my-generator.mjs", () => open("examples/my-generator.mjs"));
describeSampler("examples/my-generator.ts", () => open("examples/my-generator.ts"), {
  otherSettings: { greys: 9 },
});

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILT } from "../build.ts";
import { runHere } from "./support/run-here.ts";

let dir: string;
let page: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-api-"));
  page = await readFile("docs/api.md", "utf8");
  await symlink(resolve("node_modules"), join(dir, "node_modules"));
  const library = JSON.stringify(pathToFileURL(join(BUILT, "src/index.js")).href);
  for (const [, name, body] of page.matchAll(/```ts (\S+)\n(.*?)```/gs)) {
    const text = body!.replaceAll('"tts-var"', library);
    const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
    await writeFile(join(dir, name!.replace(/ts$/, "mts")), text);
    await writeFile(
      join(dir, name!.replace(/ts$/, "mjs")),
      ts.transpileModule(text, { compilerOptions }).outputText,
    );
  }
});
afterAll(() => rm(dir, { recursive: true }));

async function run(name: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(dir, name)], { cwd: dir });
  return stdout.trim().split("\n");
}

describe("docs/api.md", { timeout: 240_000 }, () => {
  it("names every export", async () => {
    const text = await readFile("src/index.ts", "utf8");
    const tree = ts.createSourceFile("index.ts", text, ts.ScriptTarget.Latest);
    const names = tree.statements.flatMap((statement) => {
      const clause = ts.isExportDeclaration(statement) ? statement.exportClause : undefined;
      return clause && ts.isNamedExports(clause) ? clause.elements.map(({ name }) => name.text) : [];
    });
    expect(names.length).toBeGreaterThan(50);
    expect(names.filter((name) => !new RegExp(`\`${name}[\`(]`).test(page))).toEqual([]);
  });

  it("opens and searches as shown", async () => {
    expect(await run("open.mjs")).toEqual([
      expect.stringMatching(/^a photo of a red cup \{ clip: [\d.]+ \} true$/),
      expect.stringMatching(/^two dogs \{ clip: [\d.]+ \} true$/),
    ]);
    expect((await stat(join(dir, "1.png"))).size).toBeGreaterThan(100);
  });

  it("searches as shown, and reads a run", async () => {
    const [plan, best] = await run("search.mjs");
    expect(plan).toMatch(/^at most [\d.]+ of 2 units$/);
    expect(best).toMatch(/^c\d \{ clip: [-\d.]+ \} 2$/);
    expect((await stat(join(dir, "best.png"))).size).toBeGreaterThan(100);
    const argv = ["search", "-p", "a cup", "--model", "toy", "-b", "2", "--quiet", "--strategy"];
    const plugins = [join(dir, "strategy.mts"), "--reward", join(dir, "reward.mts")];
    const { code, stderr } = await runHere([...argv, ...plugins, "--out", join(dir, "run")]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(await run("read.mjs")).toEqual([
      expect.stringMatching(/^done 2 \[.*'one-channel'.*\] \d+ false$/s),
    ]);
  });

  it("handles values as shown", async () => {
    expect(await run("values.mjs")).toEqual(["true", "true", "CONFIG_INVALID 2"]);
  });
});

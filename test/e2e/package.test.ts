import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const tsc = resolve("node_modules/typescript/bin/tsc");

const APP = `
import { open, type PromptAnswer } from "tts-var";

const tts = await open({ model: "toy", reward: "./reward.mjs", strategy: "best-of-n", budget: 2 });
const answers: PromptAnswer[] = [];
for await (const answer of tts.search(["a cup", { prompt: "a dog", seed: 1 }], { out: "runs", keep: 2 })) answers.push(answer);
await tts[Symbol.asyncDispose]();
const [first] = answers;
const id: string | undefined = first?.best.id;
console.log(id, answers.map(({ bestK, runDir }) => [bestK.length, runDir !== null]).flat().join(" "));

// @ts-expect-error a budget is a number
export const wrong = (): unknown => open({ budget: "2" });
// @ts-expect-error there is no such setting
export const unknown = (): unknown => open({ bugdet: 2 });
`;

/** A project with what is packed, its compiled files with types, and the package's dependencies. */
async function freshProject(): Promise<string> {
  const project = await mkdtemp(join(tmpdir(), "tts-var-project-"));
  const modules = join(project, "node_modules");
  const home = join(modules, "tts-var");
  await mkdir(home, { recursive: true });
  for (const name of await readdir("node_modules"))
    if (!name.startsWith(".")) await symlink(resolve("node_modules", name), join(modules, name));
  for (const name of ["package.json", "bin", "configs"])
    await cp(name, join(home, name), { recursive: true });
  await symlink(resolve("models"), join(home, "models"));
  await run(process.execPath, [
    ...[tsc, "-p", "tsconfig.build.json", "--noCheck", "--outDir", join(home, "dist")],
  ]);
  const compilerOptions = {
    target: "es2022",
    lib: ["ES2023", "ESNext.Disposable"],
    module: "nodenext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
  };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["app.ts"] }));
  await writeFile(join(project, "package.json"), JSON.stringify({ name: "fresh", type: "module" }));
  await writeFile(join(project, "app.ts"), APP);
  await cp("test/fixtures/brightness.mjs", join(project, "reward.mjs"));
  return project;
}

describe("the package", { timeout: 300_000 }, () => {
  let files: string[];
  beforeAll(async () => {
    const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const { stdout } = await promisify(execFile)("npm", args, { maxBuffer: 2 ** 26 });
    const [packed] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    files = packed.files.map(({ path }) => path);
  }, 120_000);

  it("has its documents, with every page, picture and table that they point to", async () => {
    const pages = files.filter((file) => file.endsWith(".md"));
    expect(pages).toContain("docs/api.md");
    const missing: string[] = [];
    for (const page of pages) {
      for (const [, target] of (await readFile(page, "utf8")).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        const path = join(dirname(page), target!).replace(/\/$/, "");
        if (!files.some((file) => file === path || file.startsWith(`${path}/`)))
          missing.push(`${page}: ${path}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it("is typed, and searches, in a fresh project of strict TypeScript", async () => {
    const project = await freshProject();
    const compiled = await run(process.execPath, [tsc, "-p", project]).catch((error) => error);
    expect(compiled.stdout).toBe("");
    const { stdout } = await run(process.execPath, [join(project, "app.js")], { cwd: project });
    expect(stdout).toMatch(/^c[01] 2 true 2 true\n$/);

    // The command line as well, with a reward in a thread of its own; and no TypeScript names in what was compiled.
    const home = join(project, "node_modules", "tts-var");
    const toy = ["-p", "a cup", "--model", "toy", "--reward", "./reward.mjs", "--strategy", "single"];
    const search = [join(home, "bin", "tts-var.mjs"), "search", ...toy, "--budget", "1", "--json"];
    const found = await run(process.execPath, search, { cwd: project });
    expect(JSON.parse(found.stdout)).toMatchObject({ model: "toy", candidates: [{ id: "c0" }] });
    const names = /(?:from |import\()"\.{1,2}\/[^"]*\.ts"/;
    const scripts = (await readdir(join(home, "dist"), { recursive: true })).filter((path) =>
      path.endsWith(".js"),
    );
    expect(scripts.length).toBeGreaterThan(100);
    for (const path of scripts) expect(await readFile(join(home, "dist", path), "utf8")).not.toMatch(names);
    await rm(project, { recursive: true });
  });

  it("has no tests, sources of trainings or runs of whoever packs it", () => {
    const strange = files.filter((file) => /^(?:test|src|training(?!\/README)|results\/runs)\b/.test(file));
    expect(strange).toEqual([]);
  });
});

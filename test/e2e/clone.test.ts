import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

let clone: string;
const run = (): string =>
  execFileSync(process.execPath, [join(clone, "bin", "tts-var.mjs")], { encoding: "utf8" }).trim();
const say = (text: string): Promise<void> =>
  writeFile(
    join(clone, "src", "cli", "main.ts"),
    `import { text } from "../text.ts";\nconsole.log(text, "${text}" as string);\n`,
  );
const compiled = (): Promise<string[]> => readdir(join(clone, "node_modules", ".cache", "tts-var-cli"));

beforeAll(async () => {
  clone = await mkdtemp(join(tmpdir(), "clone-"));
  await cp("bin", join(clone, "bin"), { recursive: true });
  for (const file of ["tsconfig.json", "tsconfig.build.json"]) await cp(file, join(clone, file));
  await writeFile(join(clone, "package.json"), `{ "type": "module" }`);
  for (const folder of ["src/cli", "rewards", "search", "node_modules"])
    await mkdir(join(clone, folder), { recursive: true });
  await symlink(resolve("node_modules/typescript"), join(clone, "node_modules", "typescript"));
  await symlink(resolve("node_modules/@types"), join(clone, "node_modules", "@types"));
  await writeFile(join(clone, "src", "text.ts"), `export const text: string = "says";\n`);
});
afterAll(() => rm(clone, { recursive: true, force: true }));

it("runs what the sources of a clone say now, compiled once for each state of theirs", async () => {
  await say("one");
  expect([run(), run()]).toEqual(["says one", "says one"]);
  expect(await compiled()).toHaveLength(1);
  await say("two");
  expect(run()).toBe("says two");
  expect(await compiled()).toHaveLength(2);
}, 120_000);

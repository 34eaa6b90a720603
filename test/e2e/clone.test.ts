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
    [
      'import { parse } from "yaml";',
      'import { text } from "../text.ts";',
      `console.log(text, parse("'${text}'") as string, import.meta.url.split("/").slice(-3).join("/"));`,
    ].join("\n"),
  );
const compiled = (): Promise<string[]> => readdir(join(clone, "node_modules", ".cache", "tts-var-cli"));

beforeAll(async () => {
  clone = await mkdtemp(join(tmpdir(), "clone-"));
  await cp("bin", join(clone, "bin"), { recursive: true });
  await writeFile(join(clone, "package-lock.json"), "{}");
  await writeFile(join(clone, "package.json"), `{ "type": "module" }`);
  for (const folder of ["src/cli", "rewards", "search", "node_modules"])
    await mkdir(join(clone, folder), { recursive: true });
  await symlink(resolve("node_modules/esbuild"), join(clone, "node_modules", "esbuild"));
  await writeFile(join(clone, "src", "text.ts"), `export const text: string = "says";\n`);
  await symlink(resolve("node_modules/yaml"), join(clone, "node_modules", "yaml"));
});
afterAll(() => rm(clone, { recursive: true, force: true }));

it("runs what the sources of a clone say now, compiled once for each state of theirs", async () => {
  await say("one");
  expect([run(), run()]).toEqual(["says one src/cli/main.js", "says one src/cli/main.js"]);
  expect(await compiled()).toHaveLength(1);
  await say("two");
  expect(run()).toBe("says two src/cli/main.js");
  expect(await compiled()).toHaveLength(2);
}, 120_000);

import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readRunRecord, readTrace } from "../../src/run/run-folder.ts";
import { shell, start, traced, until } from "./support/process.ts";
import { runHere } from "./support/run-here.ts";

// Processes of a busy machine may take long; nothing here is expected to.
vi.setConfig({ testTimeout: 240_000 });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-output-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

// Where files go is the same for all models.
const toy = ["--model", "toy", "--reward", resolve("test/fixtures/brightness.mjs")];
const single = [
  ...["search", "-p", "a photo of a dog", "-b", "1", "--strategy", "single", ...toy],
  ...["--sheet", "none", "--report", "none"],
];
const run = (...argv: readonly string[]) => runHere(argv, dir);
const dogRow = '{"tag":"single_object","include":[{"class":"dog","count":1}],"prompt":"a photo of a dog"}\n';

describe("a run folder", () => {
  it("that holds files of others is refused, and nothing in it changes", async () => {
    const files = { "run.json": '{"tool":"other"}', "trace.jsonl": "theirs\n", "images/c0.png": "theirs" };
    await mkdir(join(dir, "theirs", "images"), { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, "theirs", name), text);
    const { code, stdout, stderr } = await run(...single, "--out", "theirs");
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/theirs holds run\.json, trace\.jsonl, images\/c0\.png.*--force/);
    for (const [name, text] of Object.entries(files))
      expect(await readFile(join(dir, "theirs", name), "utf8")).toBe(text);
    expect(await readdir(join(dir, "theirs"))).toHaveLength(3);

    expect((await run(...single, "--out", "theirs", "--force")).code).toBe(0);
    expect((await readTrace(join(dir, "theirs"))).rows[0]?.type).toBe("begin");
  });

  it("of an earlier run is replaced, but what others have put beside stays", async () => {
    expect((await run(...single, "-b", "2", "--strategy", "best-of-n", "--out", "again")).code).toBe(0);
    await writeFile(join(dir, "again", "images", "mine.png"), "mine");
    expect((await run(...single, "--out", "again")).code).toBe(0);
    expect((await readdir(join(dir, "again", "images"))).sort()).toEqual(["c0.png", "mine.png"]);
    const { files } = await readRunRecord(join(dir, "again"));
    for (const name of files) expect((await stat(join(dir, "again", name))).isFile()).toBe(true);
    // A candidate's picture that the run has not listed is not its own.
    await writeFile(join(dir, "again", "images", "c7.png"), "mine");
    expect((await run(...single, "--out", "again")).stderr).toMatch(/again holds images\/c7\.png/);
  });

  it("is not replaced by a search that reads from it", async () => {
    expect((await run(...single, "--out", "source")).code).toBe(0);
    const argv = [...single, "--tokens", "source/tokens/c0.json", "--out", "source", "--force"];
    const { code, stderr } = await run(...argv);
    expect(code).toBe(2);
    expect(stderr).toMatch(/would replace the run that source\/tokens\/c0\.json belongs to/);
    expect((await readRunRecord(join(dir, "source"))).status).toBe("done");
  });

  it("belongs to one run while it runs, and to nobody after a crash", async () => {
    const endless = ["--reward", resolve("test/fixtures/endless.mjs")];
    const first = start(dir, [...single, ...endless, "-b", "2", "--strategy", "best-of-n", "--out", "one"]);
    await until(() => traced(join(dir, "one"), "begin"));
    const second = await run(...single, "--out", "one");
    expect(second.code).toBe(2);
    expect(second.stderr).toMatch(new RegExp(`one is in use: tts-var search \\(process ${first.child.pid},`));
    first.child.kill("SIGKILL");
    await first.ended;
    expect(await readdir(join(dir, "one"))).toContain(".tts-var.lock");
    const third = await run(...single, "--out", "one");
    expect([third.code, await readdir(join(dir, "one"))]).toEqual([
      0,
      expect.not.arrayContaining([".tts-var.lock"]),
    ]);
  });

  it("below a folder that does not exist yet: side by side, all runs stay", async () => {
    const runs = [0, 1, 2].map((seed) =>
      start(dir, [...single, "--seed", `${seed}`, "--out", `fresh/s${seed}`]),
    );
    expect((await Promise.all(runs.map(({ ended }) => ended))).map(({ code }) => code)).toEqual([0, 0, 0]);
    for (const seed of [0, 1, 2])
      expect((await readRunRecord(join(dir, "fresh", `s${seed}`))).status).toBe("done");
  });
});

describe("an evaluation", () => {
  const generate = [
    ...["geneval", "generate", "--prompts", "6", "--samples", "1", "-b", "1", "--strategy", "single", ...toy],
  ];
  it("never begins among images of others, and continues its own", async () => {
    const image = join(dir, "pictures", "00000", "samples", "0000.png");
    await mkdir(join(image, ".."), { recursive: true });
    await writeFile(image, "mine");
    await writeFile(join(dir, "pictures", "00000", "metadata.jsonl"), dogRow);
    const refused = await run(...generate, "--workers", "0", "--out", "pictures");
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/pictures holds 00000/)]);
    expect([await readFile(image, "utf8"), await readdir(join(dir, "pictures"))]).toEqual([
      "mine",
      ["00000"],
    ]);
    for (let round = 0; round < 2; round++)
      expect((await run(...generate, "--workers", "0", "--out", "evaluation")).code).toBe(0);
  });

  it("is not begun in the folder of a search", async () => {
    expect((await run(...single, "--out", "searched")).code).toBe(0);
    const { code, stderr } = await run(...generate, "--workers", "0", "--out", "searched");
    expect([code, stderr]).toEqual([2, expect.stringMatching(/searched holds run\.json, timing\.jsonl/)]);
  });
});

describe("files to write", () => {
  const prompts = (out: string, ...more: string[]) =>
    run("geneval", "prompts", "--count", "6", "--out", out, ...more);
  const promptsInShell = (out: string, more = "") =>
    shell(dir, `tv geneval prompts --count 6 --out ${out} ${more}`);

  it("of others are refused; the same content, empty files and --force are not", async () => {
    await writeFile(join(dir, "list.jsonl"), "mine\n");
    const refused = await prompts("list.jsonl");
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/list\.jsonl exists.*--force/)]);
    expect(await readFile(join(dir, "list.jsonl"), "utf8")).toBe("mine\n");
    expect((await prompts("list.jsonl", "--force")).code).toBe(0);
    expect((await prompts("list.jsonl")).code).toBe(0);
    await writeFile(join(dir, "empty.jsonl"), "");
    expect((await prompts("empty.jsonl")).code).toBe(0);
  });

  it("are never inputs, not even with --force", async () => {
    await writeFile(join(dir, "input.jsonl"), dogRow);
    await symlink("input.jsonl", join(dir, "alias.jsonl"));
    for (const out of ["input.jsonl", "./input.jsonl", "alias.jsonl"]) {
      const { code, stderr } = await prompts(out, "--disjoint-from", "input.jsonl", "--force");
      expect([code, stderr]).toEqual([2, expect.stringMatching(/is what this command reads/)]);
    }
    expect(await readFile(join(dir, "input.jsonl"), "utf8")).toBe(dogRow);
    await writeFile(join(dir, "photo.png"), "a picture");
    expect((await run("tokens", "photo.png", "--out", "photo.png", "--force")).code).toBe(2);
    expect(await readFile(join(dir, "photo.png"), "utf8")).toBe("a picture");
  });

  it("are written through links, which stay; modes stay, too", async () => {
    await mkdir(join(dir, "shared"));
    await writeFile(join(dir, "shared", "p.jsonl"), "", { mode: 0o640 });
    await symlink("shared/p.jsonl", join(dir, "p.jsonl"));
    await symlink("shared/new.jsonl", join(dir, "dangling.jsonl"));
    for (const name of ["p.jsonl", "dangling.jsonl"]) expect((await prompts(name)).code).toBe(0);
    expect(await readlink(join(dir, "p.jsonl"))).toBe("shared/p.jsonl");
    expect((await stat(join(dir, "shared", "p.jsonl"))).mode & 0o777).toBe(0o640);
    expect((await readdir(join(dir, "shared"))).sort()).toEqual(["new.jsonl", "p.jsonl"]);
    expect((await readFile(join(dir, "shared", "new.jsonl"), "utf8")).split("\n")).toHaveLength(7);
  });

  it("may be devices, pipes and the streams of the program", async () => {
    await symlink("/dev/null", join(dir, "nothing"));
    expect((await promptsInShell("nothing")).code).toBe(0);
    expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
    const full = await promptsInShell("/dev/full");
    expect([full.code, full.stderr]).toEqual([
      2,
      expect.stringMatching(/cannot write \/dev\/full \(ENOSPC\)/),
    ]);
    const piped = await shell(
      dir,
      "mkfifo pipe; cat pipe > got & tv geneval prompts --count 200 --out pipe && wait && wc -l < got",
    );
    expect(piped.stdout).toMatch(/^200 prompts: pipe\n\s*200\n$/);
    const rows = expect.stringMatching(/^(\{"tag".*\}\n){6}$/);
    expect((await promptsInShell("/dev/stdout")).stdout).toEqual(rows);
    expect((await promptsInShell("/dev/stdout", "> stdout.txt; cat stdout.txt")).stdout).toEqual(rows);
    expect((await promptsInShell(">(cat > substituted)", "; wait; cat substituted")).stdout).toContain(
      '{"tag"',
    );
  });
});

describe("mistakes are answered with a sentence and the right exit code", () => {
  beforeAll(async () => {
    await mkdir(join(dir, "null-run"));
    await mkdir(join(dir, "folder.png"));
    await writeFile(join(dir, "null-run", "run.json"), "null");
    await writeFile(join(dir, "alias.yaml"), "task: *nowhere\n");
    await writeFile(join(dir, "marked.jsonl"), `\ufeff${dogRow}`);
    await symlink("/nowhere/at/all", join(dir, "broken"));
  });
  it.each([
    [["replay", "null-run"], 5, /describes no run of tts-var/],
    [["tokens", "folder.png"], 2, /folder\.png: not a readable image/],
    [["tokens", "missing.jpg"], 2, /missing\.jpg: not a readable image/],
    [["tokens", "broken"], 2, /broken: not a readable image/],
    [["tokens", "folder.png", "--out", ""], 2, /--out "": must name a file/],
    [["geneval", "judge", "null-run", "--out", ""], 2, /--out "": must name a file/],
    [["geneval", "prompts", "--count", "6", "--out", ""], 2, /--out "": must name a file/],
    [["geneval", "prompts", "--count", "6", "--out", "folder.png"], 2, /a folder of that name is in the way/],
    [["geneval", "prompts", "--count", "6", "--disjoint-from", "marked.jsonl", "--json"], 0, /^$/],
    [["plan", "--config", "alias.yaml"], 2, /alias\.yaml: Unresolved alias.*nowhere/],
    [["study", "run", "alias.yaml"], 2, /alias\.yaml: Unresolved alias.*nowhere/],
    [["plan", "--set", "model.size=null"], 2, /model\.size \(--set\): must be string, received null\n/],
    [[...single, "--out", "broken/run"], 2, /cannot write .*broken\/run \(ENOTDIR\)/],
  ] as const)("%j", async (argv, expected, reason) => {
    const { code, stderr } = await run(...argv);
    expect(stderr).toMatch(reason);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(expected);
  });
});

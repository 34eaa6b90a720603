import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { open, readRunRecord, readTrace, type Tts } from "../../src/index.ts";
import { runHere } from "./support/run-here.ts";

let dir: string;
let tts: Tts;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-open-"));
  tts = await open({
    model: "toy",
    reward: "./test/fixtures/brightness.mjs",
    strategy: "best-of-n",
    budget: 3,
  });
}, 120_000);
afterAll(async () => {
  await tts[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

async function all<T>(answers: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const answer of answers) found.push(answer);
  return found;
}

async function* slowly(prompts: readonly string[]): AsyncGenerator<string> {
  for (const prompt of prompts) yield prompt;
}

describe("open", { timeout: 120_000 }, () => {
  it("answers prompts of every form, in order, whatever is computed at a time", async () => {
    const prompts = ["a cup", "two cups", "a dog", "a cat", "a cow"];
    const one = await all(tts.search(prompts));
    expect(one.map(({ index, task }) => [index, task.prompt])).toEqual([...prompts.entries()]);
    const many = await all(tts.search(slowly(prompts), { jobs: 3 }));
    const hashes = (answers: typeof one) => answers.map(({ best }) => best.pixelHash);
    expect(hashes(many)).toEqual(hashes(one));
    const [again] = await all(tts.search({ prompt: "a cup", seed: 0 }));
    expect(again!.best.pixelHash).toBe(one[0]!.best.pixelHash);
    const [other] = await all(tts.search([{ prompt: "a cup", seed: 1 }]));
    expect(other!.best.pixelHash).not.toBe(one[0]!.best.pixelHash);
    expect([one[0]!.candidates.length, one[0]!.bestK, one[0]!.runDir]).toEqual([3, [one[0]!.best], null]);
  });

  it("takes another budget, and plans it without running", async () => {
    const [answer] = await all(tts.search("a cup", { budget: 6, keep: 3, diversity: 1 }));
    expect([answer!.units, answer!.candidates.length, answer!.bestK.length]).toEqual([6, 6, 3]);
    expect(answer!.bestK[0]).toBe(answer!.best);
    expect(tts.plan(6).spending).toEqual(answer!.spending);
  });

  it("stops when the caller does, and tells how far it is", async () => {
    const seen: string[] = [];
    for await (const { task } of tts.search(slowly(["a", "b", "c"]), {
      onProgress: ({ index, prompt, action }) => action === "end" && seen.push(`${index} ${prompt}`),
    })) {
      if (task.prompt === "b") break;
    }
    expect(seen).toEqual(["0 a", "1 b"]);
  });

  it("leaves valid folders where it is stopped in the middle", async () => {
    const out = join(dir, "stopped");
    const stop = new AbortController();
    const why = new Error("enough");
    const answers: string[] = [];
    const loop = async () => {
      const onProgress = ({ index, action }: { index: number; action: string }) => {
        if (index === 1 && action === "step") stop.abort(why);
      };
      for await (const { runDir } of tts.search(["a", "b", "c"], { out, signal: stop.signal, onProgress }))
        answers.push(runDir!);
    };
    await expect(loop()).rejects.toBe(why);
    expect(answers).toHaveLength(1);
    const folders = (await readdir(out)).sort();
    const records = await Promise.all(folders.map((name) => readRunRecord(join(out, name))));
    expect(records.map(({ status }) => status)).toEqual(["done", "aborted"]);
    for (const name of folders) {
      expect((await readTrace(join(out, name))).tornTail).toBe(false);
      expect((await readdir(join(out, name))).filter((file) => file.startsWith("."))).toEqual([]);
    }
    // The models are as good as before.
    expect(await all(tts.search("d"))).toHaveLength(1);
  });

  it("names what is wrong before anything is drawn", async () => {
    await expect(open({ budget: -1 })).rejects.toThrow(/budget \(open\(\)\): must be at least 1/);
    await expect(open({ model: "toyy" })).rejects.toThrow(/did you mean "toy"/);
    await expect(all(tts.search(["a", " "]))).rejects.toThrow(/prompt 1:/);
    await expect(all(tts.search("a", { budget: 0.5 }))).rejects.toThrow(/budget \(search\(\)\)/);
    await expect(all(tts.search("a", { jobs: 0 }))).rejects.toThrow(/jobs must be/);
    const closed = await open({
      model: "toy",
      reward: "./test/fixtures/brightness.mjs",
      budget: 2,
      strategy: "best-of-n",
    });
    await closed[Symbol.asyncDispose]();
    await closed[Symbol.asyncDispose]();
    await expect(all(closed.search("a"))).rejects.toThrow(/closed/);
  });

  it("holds nothing after many prompts that it did not hold after a few", async () => {
    const handles = () => process.getActiveResourcesInfo().filter((name) => name !== "Timeout").length;
    const prompts = (count: number) => Array.from({ length: count }, (_, at) => `${at} cups`);
    await all(tts.search(prompts(5), { budget: 1 }));
    const before = handles();
    await all(tts.search(prompts(60), { budget: 1, jobs: 2 }));
    expect(handles()).toBeLessThanOrEqual(before);
  });
});

describe("search --prompts", { timeout: 120_000 }, () => {
  const settings = ["--model", "toy", "-b", "3", "--strategy", "best-of-n", "--sheet", "none", "--quiet"];
  const reward = ["--reward", "./test/fixtures/brightness.mjs"];

  it("writes a folder for each prompt, lists them, and goes on where it ended", async () => {
    const [file, out] = [join(dir, "prompts.jsonl"), join(dir, "many")];
    const lines = [{ prompt: "a cup" }, { prompt: "a dog", seed: 4 }].map((row) => JSON.stringify(row));
    await writeFile(file, lines.join("\n\n"));
    const argv = ["search", "--prompts", file, "--out", out, ...settings, ...reward, "--keep", "2"];
    const first = await runHere([...argv, "--json"]);
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toBe(await readFile(join(out, "results.jsonl"), "utf8"));
    const rows = first.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map(({ prompt, seed, bestK }) => [prompt, seed, bestK.length])).toEqual([
      ["a cup", 0, 2],
      ["a dog", 4, 2],
    ]);
    await writeFile(file, [...lines, '{"prompt":"a cow"}'].join("\n"));
    const second = await runHere([...argv, "--jobs", "2"]);
    expect(second.stdout).toMatch(/3 prompts, 2 of them kept from earlier; mean score/);
    const alone = await runHere([
      "search",
      "-p",
      "a dog",
      "--seed",
      "4",
      ...settings,
      ...reward,
      "--out",
      join(dir, "one"),
      "--json",
    ]);
    expect(JSON.parse(alone.stdout).best.pixelHash).toBe(rows[1].best.pixelHash);
  });

  it("refuses what it cannot read, and to replace files of others", async () => {
    const bad = join(dir, "bad.jsonl");
    await writeFile(bad, '{"prompt": "a cup"}\n{"prompt": "a cup", "sed": 1}\n');
    const out = join(dir, "taken");
    const run = (...argv: string[]) => runHere(["search", ...settings, ...reward, ...argv]);
    expect(await run("--prompts", bad)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/bad.jsonl:2:[\s\S]*sed/),
    });
    expect(await run("--prompts", bad, "-p", "a cup")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("exclude"),
    });
    expect(await run("-p", "a cup", "--diversity", "1")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("keep"),
    });
    await writeFile(bad, '{"prompt": "a cup"}\n');
    await mkdir(out);
    await writeFile(join(out, "results.jsonl"), "somebody's\n");
    expect(await run("--prompts", bad, "--out", out)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("results.jsonl"),
    });
    expect((await run("--prompts", join(dir, "none.txt"))).code).toBe(2);
  });
});

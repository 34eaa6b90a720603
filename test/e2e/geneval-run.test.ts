import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  childrenOf,
  folderHashes,
  isAlive,
  kill,
  runCli,
  startCli,
  toySearch,
  untilRecords,
} from "./support/geneval-processes.ts";
import { runHere } from "./support/run-here.ts";

const prompts = 60;
const images = prompts * 2;
let dir: string;
let reference: Record<string, string>;
const generate = (out: string, ...more: readonly string[]): string[] => [
  ...["geneval", "generate", "--prompts", String(prompts), "--samples", "2", "--out", join(dir, out)],
  ...toySearch,
  ...more,
];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-geneval-"));
  const outcome = await runHere(generate("reference", "--workers", "0"));
  expect(outcome.stderr).toMatch(/60 prompts x 2 samples with best-of-n, in this process/);
  expect(outcome).toMatchObject({ code: 0, stdout: `${images} images in ${join(dir, "reference")}\n` });
  reference = await folderHashes(join(dir, "reference"));
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("geneval generate", { timeout: 180_000 }, () => {
  it("writes GenEval's layout", async () => {
    const files = Object.keys(reference);
    expect(files.filter((name) => /^\d{5}\/samples\/\d{4}\.png$/.test(name))).toHaveLength(images);
    expect(files.filter((name) => /^\d{5}\/grid\.png$/.test(name))).toHaveLength(prompts);
    const metadata = await readFile(join(dir, "reference/00000/metadata.jsonl"), "utf8");
    expect(JSON.parse(metadata)).toMatchObject({ tag: "single_object", include: [{ count: 1 }] });
    const [first, second] = [0, 1].map((sample) => reference[`00000/samples/000${sample}.png`]);
    expect(first, "samples of a prompt have seeds of their own").not.toBe(second);
  });

  it("gives the same folder when workers and the coordinator are killed on the way", async () => {
    const argv = generate("killed", "--workers", "2");
    const out = join(dir, "killed");
    const first = startCli(argv);
    await untilRecords(out, 15, first);
    const [victim] = await childrenOf(first.child.pid!);
    process.kill(victim!, "SIGKILL");
    await untilRecords(out, 40, first);
    expect(first.stderr()).toContain("a worker process ended by SIGKILL; it is being replaced");
    const orphans = await childrenOf(first.child.pid!);
    await kill(first);
    expect(orphans.length).toBeGreaterThan(0);
    const again = await runCli(argv);
    expect(again.code).toBe(0);
    expect(await folderHashes(out)).toEqual(reference);
    expect(orphans.filter(isAlive), "workers end with their coordinator").toEqual([]);
    const timing = (await readFile(join(out, "timing.jsonl"), "utf8")).trim().split("\n");
    expect(timing.length, "what was finished was not done again").toBeLessThanOrEqual(images + 2);
  });

  it("stops with a reason when the disk is full, and goes on when there is room again", async () => {
    const out = join(dir, "full");
    const preload = ["--import", pathToFileURL(resolve("test/fixtures/full-disk.mjs")).href];
    const argv = generate("full", "--workers", "0");
    const outcome = await runCli(argv, { TTS_VAR_FULL_DISK: out }, preload);
    expect(outcome.stderr).toMatch(/cannot write .*\(ENOSPC\): the disk is full/);
    expect(outcome).toMatchObject({ code: 2, stdout: "" });
    expect((await runHere(argv)).code).toBe(0);
    expect(await folderHashes(out)).toEqual(reference);
  });

  it("makes damaged files anew and keeps the others", async () => {
    const out = join(dir, "reference");
    await writeFile(join(out, "00003/samples/0001.png"), "no picture");
    await writeFile(join(out, "00004/records/0000.json"), '{"schemaVer');
    await rm(join(out, "00005/samples/0000.png"));
    expect((await runHere(generate("reference", "--workers", "0"))).code).toBe(0);
    expect(await folderHashes(out)).toEqual(reference);
  });
});

describe("mistakes", () => {
  it.each<[string, () => Promise<string[]>, number, RegExp]>([
    [
      "a bad line in the prompts",
      async () => {
        const path = join(dir, "prompts.jsonl");
        const good = await readFile(join(dir, "reference/prompts.jsonl"), "utf8");
        await writeFile(path, good.split("\n").slice(0, 3).join("\n").concat('\n{"tag": "colors", "prompt"'));
        return ["geneval", "generate", "--prompts", path, "--out", join(dir, "x"), ...toySearch];
      },
      5,
      /prompts\.jsonl:4: not JSON/,
    ],
    [
      "another configuration in the same folder",
      async () => [...generate("reference"), "--set", "model.options.temperature=2"],
      2,
      /holds another evaluation \(different: model was \{.*"options":\{\}.*\}, is \{.*"temperature":2.*\}\)/,
    ],
    [
      "other samples in the same folder",
      async () => [...generate("reference"), "--samples", "3"],
      2,
      /different: samples/,
    ],
    [
      "no folder",
      async () => ["geneval", "generate", "--prompts", "6", ...toySearch],
      2,
      /--out DIR is needed/,
    ],
    [
      "a folder that cannot be written",
      async () => generate("reference/prompts.jsonl/inside"),
      2,
      /cannot write .*a part of the path is a file/,
    ],
    ["an unknown strategy", async () => generate("x", "--strategy", "tts-vra"), 2, /did you mean "tts-var"/],
    [
      "judging an unfinished set",
      async () => ["geneval", "summarize", join(dir, "reference")],
      5,
      /has no verdicts yet/,
    ],
  ])("%s", async (_what, argv, code, message) => {
    const outcome = await runHere(await argv());
    expect(outcome.stderr).toMatch(message);
    expect(outcome).toMatchObject({ code, stdout: "" });
  });
});

describe("adaptive evaluation", { timeout: 180_000 }, () => {
  const adaptive = (out: string, workers: string): string[] => [
    ...[
      "geneval",
      "generate",
      "--prompts",
      "12",
      "--samples",
      "2",
      "--out",
      join(dir, out),
      "--workers",
      workers,
    ],
    ...[
      ...toySearch,
      "--strategy",
      "single",
      "--budget",
      "3",
      "--adaptive",
      "--round",
      "1",
      "--stop-at",
      "0.62",
    ],
  ];

  it("spends one total where it helps, says what each prompt got, and does not depend on the workers", async () => {
    const outcome = await runHere(adaptive("adaptive", "0"));
    expect(outcome.code).toBe(0);
    const lines = (await readFile(join(dir, "adaptive/allocation.jsonl"), "utf8")).trim().split("\n");
    const rows = lines.map((line) => JSON.parse(line));
    expect(rows).toHaveLength(24);
    const units = rows.reduce((sum, row) => sum + row.units, 0);
    expect(units).toBeLessThanOrEqual(72);
    expect(units).toBeGreaterThan(24);
    expect(outcome.stdout).toContain(`Adaptive budget: ${units} of 72 units spent`);
    const again = await runHere([...adaptive("adaptive", "0"), "--json"]);
    const { prompts } = JSON.parse(again.stdout).allocation;
    expect(prompts).toHaveLength(12);
    for (const share of prompts) {
      const mine = rows.filter((row) => row.promptIndex === share.promptIndex);
      expect(share).toMatchObject({
        prompt: mine[0].prompt,
        units: mine.reduce((sum, row) => sum + row.units, 0),
      });
    }
    expect(new Set(rows.map((row) => row.rounds)).size, "images differ in what they got").toBeGreaterThan(1);
    for (const row of rows) {
      expect(row.ended === "reached").toBe(row.best >= 0.62);
      const path = join(
        dir,
        "adaptive",
        String(row.promptIndex).padStart(5, "0"),
        `records/000${row.sample}.json`,
      );
      const record = JSON.parse(await readFile(path, "utf8"));
      const scores = record.rounds.map((round: { score: number }) => round.score);
      expect(scores).toHaveLength(row.rounds);
      expect(row.best).toBe(Math.max(...scores));
      expect(
        scores.slice(0, -1).every((score: number) => score < 0.62),
        "an image stops when it has reached",
      ).toBe(true);
    }
    const running = startCli(adaptive("adaptive-2", "1"));
    expect(await running.ended).toBe(0);
    expect(await folderHashes(join(dir, "adaptive-2"))).toEqual(await folderHashes(join(dir, "adaptive")));
  });
});

import { execFile, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { listPresets } from "../../src/cli/presets.ts";
import { pixelHash } from "../../src/core/image.ts";
import { decodePng } from "../../src/io/png.ts";
import { readRunRecord, readTrace } from "../../src/run/run-folder.ts";
import { program } from "./support/program.ts";
import { runHere } from "./support/run-here.ts";

const fixture = (name: string): string => resolve("test/fixtures", name);
const preload = (name: string): string[] => ["--import", pathToFileURL(fixture(name)).href];
const toy = ["--model", "toy", "--reward", fixture("brightness.mjs"), "--strategy", "best-of-n"];

// Processes of a busy machine may take long; nothing here is expected to.
vi.setConfig({ testTimeout: 240_000 });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-e2e-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line as a process of its own, in an empty folder. */
function run(argv: readonly string[], node: readonly string[] = []): Promise<Outcome> {
  return new Promise((done) => {
    const options = { cwd: dir, env: { ...process.env, CI: "", NO_COLOR: "1" }, maxBuffer: 2 ** 26 };
    execFile(process.execPath, [...node, program, ...argv], options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe("mistakes end with exit code 2, a reason, and nothing on stdout", () => {
  it.each<[string[], RegExp]>([
    [[], /Usage: tts-var/],
    [["serch"], /unknown command "serch"; did you mean "search"\?/],
    [["search", "--bugdet", "8"], /unknown option '--bugdet'[\s\S]*--budget/],
    [["search"], /task: must say what to draw; give --prompt/],
    [["search", "-p", ""], /prompt \(--prompt\): must not be empty/],
    [
      ["search", "-p", "a cup", "--budget", "0"],
      /budget \(--budget\): must be at least 1 and at most 4096, not 0/,
    ],
    [["search", "-p", "a cup", "--budget=-1", "--seed", "x"], /2 problems:[\s\S]*seed[\s\S]*budget/],
    [["search", "-p", "a cup", "--budget", "1e9"], /at most 4096/],
    [
      ["search", "-p", "a cup", "--strategy", "tts-var", "--widths", "8,9"],
      /widths has 2 values but this model has \d+ scales/,
    ],
    [["search", "-p", "a cup", "--model", "toy", "--widths", "2,3,3,3"], /widths/],
    [
      ["search", "-p", "a cup", "--strategy", "tts-vra"],
      /unknown strategy "tts-vra"; did you mean "tts-var"\?/,
    ],
    [["search", "-p", "a cup", "--reward", "clipp"], /unknown reward "clipp"; did you mean "clip"\?/],
    [["search", "-p", "a cup", "--model", "embeded"], /unknown model "embeded"; did you mean "embedded"\?/],
    [["search", "-p", "a cup", "--config", "missing.yaml"], /cannot read the configuration missing\.yaml/],
    [["search", "-p", "a cup", "--set", "taks.seed=1"], /taks[\s\S]*did you mean "task"\?/],
    [["search", "-p", "a cup", "--model", "toy", "--set", "model.options.topp=1"], /did you mean "topP"\?/],
    [["search", "-p", "a cup", ...toy, "--guidance", "1,2"], /model\.options\.guidance has 2 values/],
    [["list", "rewrads"], /unknown kind of list "rewrads"; did you mean "rewards"\?/],
    [["models", "verify", "generatro"], /unknown embedded model "generatro"/],
  ])("%j", async (argv, reason) => {
    const { code, stdout, stderr } = await runHere(argv);
    expect(stderr).toMatch(reason);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it("of the process, too", async () => {
    const { code, stdout, stderr } = await run(["search", "-p", "a cup", "--strategy", "sinlge"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/did you mean "single"/);
    expect(existsSync(join(dir, "results"))).toBe(false);
  });

  it("and with --json one object that says the same", async () => {
    const { code, stdout } = await runHere(["search", "-p", "a cup", "--budget", "0", "--json"]);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1,
      error: { code: "CONFIG_INVALID", message: /budget/ },
    });
  });

  it("a budget that cannot pay for the strategy ends with 4 and says what would", async () => {
    const { code, stderr } = await runHere([
      "plan",
      ...toy,
      "--budget",
      "2",
      "--set",
      "strategy.options.n=3",
    ]);
    expect(code).toBe(4);
    expect(stderr).toMatch(/raise --budget to \d/);
  });
});

describe("help and lists", () => {
  it("answer without loading a native library", async () => {
    const { code, stdout, stderr } = await run(["--help"], preload("loaded-libraries.mjs"));
    expect(code).toBe(0);
    expect(stdout).toMatch(/Usage: tts-var[\s\S]*search[\s\S]*Examples:/);
    expect(stderr).toContain("LIBRARIES");
    expect(stderr).not.toMatch(/onnxruntime|sharp|vips/);
  });

  it.each(["strategies", "rewards", "generators", "features", "models", "configs"])(
    "list %s --json",
    async (kind) => {
      const { code, stdout } = await runHere(["list", kind, "--json"]);
      expect(code).toBe(0);
      const rows: { name: string; summary: string }[] = JSON.parse(stdout);
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows)
        expect([row.name, row.summary]).toEqual([expect.any(String), expect.stringMatching(/\S/)]);
    },
  );

  it("plan prices a search from manifests alone", async () => {
    const argv = ["plan", "--budget", "4", "--strategy", "best-of-n", "--json"];
    const { code, stdout, stderr } = await run(argv, preload("loaded-libraries.mjs"));
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/onnxruntime/);
    const plan = JSON.parse(stdout);
    expect(plan.total).toBeLessThanOrEqual(4);
    expect(plan.rows.at(-1)).toMatchObject({ widthIn: 4, decodes: 4, scores: 4 });
    const sum = Object.values<number>(plan.spending.byKind).reduce((total, value) => total + value, 0);
    expect(sum).toBeCloseTo(plan.spending.total, 0);
  });
});

describe("search on the toy generator", () => {
  const search = (out: string, ...more: string[]) =>
    ["search", "-p", "a photo of a dog", ...toy, "--budget", "3", "--out", out, "--json"].concat(more);

  it("plans and runs the same search where the budget is too small for features", async () => {
    const argv = ["-p", "a photo of a dog", "--model", "toy", "--budget", "2", "--json"];
    const plan = JSON.parse((await runHere(["plan", ...argv])).stdout);
    const { code, stdout } = await runHere(["search", ...argv, "--out", "small"], dir);
    expect(code).toBe(0);
    const { budget } = JSON.parse(stdout);
    expect(plan.rows.every((row: { features: number }) => row.features === 0)).toBe(true);
    expect(budget.flops.total).toBe(plan.spending.total);
  });

  it("prints the contract's object and leaves a complete run folder", async () => {
    const { code, stdout, stderr } = await run(search("run"));
    expect(code).toBe(0);
    const summary = JSON.parse(stdout);
    expect(Object.keys(summary)).toEqual([
      "schemaVersion",
      "prompt",
      "seed",
      "strategy",
      "model",
      "reward",
      "budget",
      "best",
      "candidates",
      "runDir",
    ]);
    expect(summary).toMatchObject({
      schemaVersion: 1,
      prompt: "a photo of a dog",
      seed: 0,
      strategy: "best-of-n",
      model: "toy",
    });
    expect(summary.budget.limit).toBe(3);
    expect(summary.budget.spent).toBeLessThanOrEqual(3);
    expect(summary.candidates).toHaveLength(3);
    const scores: number[] = summary.candidates.map(({ score }: { score: number }) => score);
    expect(summary.best.score).toBe(Math.max(...scores));
    expect(pixelHash(await decodePng(summary.best.image))).toBe(summary.best.pixelHash);
    for (const { image, pixelHash: hash } of summary.candidates)
      expect(pixelHash(await decodePng(image))).toBe(hash);

    expect((await readdir(join(dir, "run"))).sort()).toEqual([
      "best.png",
      "candidates.jsonl",
      "images",
      "metrics.json",
      "previews.jsonl",
      "report.html",
      "run.json",
      "sheet.png",
      "timing.jsonl",
      "tokens",
      "trace.jsonl",
    ]);
    const record = await readRunRecord(join(dir, "run"));
    expect(record.status).toBe("done");
    expect(record.origins).toMatchObject({ budget: "--budget", "task.seed": "default" });
    expect(Object.keys(record.models)).toHaveLength(2);
    const { rows, tornTail } = await readTrace(join(dir, "run"));
    expect([rows[0]?.type, rows.at(-1)?.type, tornTail]).toEqual(["begin", "end", false]);
    expect((await decodePng(join(dir, "run", "sheet.png"))).width).toBeGreaterThan(200);
    expect(stderr).toMatch(/^plan: \d/m);
    expect(stderr).not.toContain("\u001b");
  });

  it("gives the same pixels and the same trace for the same seed, and others for another", async () => {
    const again = JSON.parse((await runHere(search("again", "--threads", "1"), dir)).stdout);
    const first = await readFile(join(dir, "run", "trace.jsonl"), "utf8");
    expect(await readFile(join(dir, "again", "trace.jsonl"), "utf8")).toBe(first);
    const other = JSON.parse((await runHere(search("other", "--seed", "1"), dir)).stdout);
    expect(other.best.pixelHash).not.toBe(again.best.pixelHash);
  });

  it("is quiet when asked, and talks to people otherwise", async () => {
    const { code, stdout, stderr } = await run(["search", "-p", "a dog", ...toy, "--budget", "1", "--quiet"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^best {3}results\/runs\/\d{8}T\d{6}Z-a-dog-[0-9a-f]{8}\/best\.png$/m);
    expect(stdout).toMatch(/^spent {2}\d\.\d\d of 1 units/m);
    await rm(join(dir, "results"), { recursive: true });
  });
});

describe("output folders", () => {
  it("that cannot be written fail before a model loads, with exit code 2", async () => {
    await writeFile(join(dir, "in-the-way"), "");
    const argv = ["search", "-p", "a cup", "--model", "toy", "--out", "in-the-way/run"];
    const { code, stdout, stderr } = await run(
      [...argv, "--strategy", "best-of-n"],
      preload("loaded-libraries.mjs"),
    );
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/cannot write .*in-the-way\/run.*--out/);
    expect(stderr).not.toMatch(/onnxruntime/);
    expect(await readFile(join(dir, "in-the-way"), "utf8")).toBe("");
  });

  it("on a full disk end with exit code 2 and hold whole files only", async () => {
    const disk = join(dir, "disk");
    const argv = ["search", "-p", "a cup", ...toy, "--budget", "24", "--out", join(disk, "run")];
    const { code, stderr, files } = runOnFullDisk(disk, argv);
    expect(stderr).toMatch(/cannot write .* \(ENOSPC\): the disk is full/);
    expect(code).toBe(2);
    expect(JSON.parse(files.get("run/run.json")!)).toMatchObject({
      status: "failed",
      error: { code: "OUTPUT_UNWRITABLE" },
    });
    expect([...files.keys()].filter((name) => /\.run\.json|best\.png|probe/.test(name))).toEqual([]);
    for (const line of files.get("run/trace.jsonl")!.trimEnd().split("\n")) JSON.parse(line);
  });
});

/** Runs a search on a file system of 48 KiB: a real one where this user may mount, an injected one elsewhere. */
function runOnFullDisk(disk: string, argv: readonly string[]) {
  const command = [process.execPath, program, ...argv].map((word) => `'${word}'`).join(" ");
  const show = `cd '${disk}' && find . -type f | while read -r f; do printf '%s\\t' "$f"; base64 -w0 < "$f"; echo; done`;
  const mount = `mkdir -p '${disk}' && mount -t tmpfs -o size=48k tmpfs '${disk}'`;
  const canMount = spawnSync("unshare", ["-rm", "sh", "-c", mount]).status === 0;
  const script = `${canMount ? mount : `mkdir -p '${disk}'`}; ${command}; code=$?; ${show}; exit $code`;
  const [shell, ...before] = canMount ? ["unshare", "-rm", "sh", "-c"] : ["sh", "-c"];
  const env = canMount
    ? process.env
    : { ...process.env, TTS_VAR_FULL_DISK: disk, NODE_OPTIONS: preload("full-disk.mjs").join(" ") };
  const { status, stdout, stderr } = spawnSync(shell!, [...before, script], {
    cwd: dir,
    env,
    encoding: "utf8",
  });
  const files = new Map(
    stdout
      .split("\n")
      .filter((line) => line.startsWith("./"))
      .map((line) => {
        const [name, content] = line.slice(2).split("\t");
        return [name!, Buffer.from(content!, "base64").toString()];
      }),
  );
  return { code: status, stderr, files };
}

describe("interruption", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "by %s leaves a valid run folder, marked aborted, and exit code %i",
    async (signal, expected) => {
      const out = join(dir, signal);
      const argv = [
        "search",
        "-p",
        "a cup",
        "--model",
        "toy",
        "--strategy",
        "best-of-n",
        "--reward",
        fixture("endless.mjs"),
      ];
      const child = spawn(process.execPath, [program, ...argv, "--out", out], { cwd: dir });
      let stdout = "";
      child.stdout.on("data", (chunk) => (stdout += chunk));
      const ended = new Promise<number | null>((done) => child.on("exit", (code) => done(code)));
      // The reward never answers, so the search is waiting in it once the last stage is in the trace.
      await until(async () =>
        (await traceOf(out)).some((event) => event.type === "step" && event.stage === 3),
      );
      child.kill(signal);
      expect([await ended, stdout]).toEqual([expected, ""]);
      const record = await readRunRecord(out);
      expect([record.status, record.error?.code]).toEqual(["aborted", "INTERRUPTED"]);
      expect((await traceOf(out))[0]?.type).toBe("begin");
      expect((await readdir(out)).filter((name) => name.startsWith("."))).toEqual([]);
    },
  );
});

describe("search on the embedded models", () => {
  const search = (...more: string[]) =>
    runHere(["search", "-p", "a photo of a blue dog and a red umbrella", "--json", ...more], dir);

  it("does the main job without touching a network", async () => {
    const argv = [
      "search",
      "-p",
      "a photo of a blue dog and a red umbrella",
      "--budget",
      "8",
      "--out",
      "main",
      "--json",
    ];
    const { code, stdout, stderr } = await run(argv, preload("no-network.mjs"));
    expect(stderr).not.toContain("NETWORK ACCESS");
    expect(code).toBe(0);
    const summary = JSON.parse(stdout);
    expect(summary).toMatchObject({ strategy: "auto", reward: "clip", model: "embedded" });
    expect(summary.budget.spent).toBeGreaterThan(7);
    expect(summary.budget.spent).toBeLessThanOrEqual(8);
    const best = await decodePng(join(dir, "main", "best.png"));
    expect([best.width, best.height]).toEqual([64, 64]);
    expect(pixelHash(best)).toBe(summary.best.pixelHash);
  });

  it("draws the same pixels with one thread and with two, and in a batch of another size", async () => {
    const single = ["--strategy", "best-of-n", "--sheet", "none", "--report", "none"];
    const one = JSON.parse(
      (await search(...single, "--budget", "1", "--threads", "1", "--out", "one")).stdout,
    );
    const two = JSON.parse(
      (await search(...single, "--budget", "2", "--threads", "2", "--out", "two")).stdout,
    );
    const hashes = two.candidates.map((candidate: { pixelHash: string }) => candidate.pixelHash);
    expect(one.candidates).toHaveLength(1);
    expect(hashes).toHaveLength(2);
    expect(hashes[0]).toBe(one.best.pixelHash);
  });

  it("says what of a prompt it does not know or cannot read", async () => {
    const prompt = `a photo of a spaceship and ${"a dog and ".repeat(1000)}`.slice(0, 10_000);
    const argv = [
      "search",
      "-p",
      prompt,
      "--strategy",
      "single",
      "--budget",
      "1",
      "--sheet",
      "none",
      "--out",
      "odd",
    ];
    const { code, stderr } = await runHere(argv, dir);
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: the model does not know "spaceship"/);
    expect(stderr).toMatch(/warning: the prompt has \d{4} tokens; the model reads the first \d+/);
  });

  it("names a model file that is damaged or missing, and ends with 3", async () => {
    const copy = join(dir, "copy");
    await cp("models/generator", copy, { recursive: true });
    const file = join(copy, "step.onnx");
    const bytes = await readFile(file);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(file, bytes);
    const damaged = await search("--model", "./copy", "--out", "damaged");
    expect([damaged.code, JSON.parse(damaged.stdout).error.code]).toEqual([3, "MODEL_INVALID"]);
    expect(damaged.stderr).toMatch(/step\.onnx has SHA-256/);
    expect((await readRunRecord(join(dir, "damaged"))).status).toBe("failed");
    await rm(file);
    const missing = await runHere(["models", "verify", copy]);
    expect([missing.code, missing.stderr]).toEqual([3, expect.stringMatching(/step\.onnx is missing/)]);
  });

  it("plans every preset", async () => {
    // Those of checkpoints that are not part of this package are planned in test/unit/infinity-plan.test.ts.
    for (const { name } of listPresets().filter((preset) => !preset.name.startsWith("infinity"))) {
      const { code, stderr } = await runHere(["plan", "--config", name]);
      // A preset that leaves the strategy open is told which one it is.
      const warnings = stderr.replace(/^strategy auto: .*\n/, "");
      expect([name, code, warnings]).toEqual([name, 0, ""]);
    }
  });
});

async function traceOf(out: string) {
  return existsSync(join(out, "trace.jsonl")) ? (await readTrace(out)).rows : [];
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

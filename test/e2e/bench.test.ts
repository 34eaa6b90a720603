import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readResults } from "../../src/eval/results.ts";
import { decodePng } from "../../src/io/png.ts";
import { runHere } from "./support/run-here.ts";

let dir: string;
let server: Server;
let url: string;
/** Questions that the endpoint was asked, and what it is to say to the next ones. */
const asked: string[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-bench-"));
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { messages, model } = JSON.parse(Buffer.concat(chunks).toString());
    const [, { text }] = messages[0].content;
    asked.push(text);
    const top = text.startsWith("How many")
      ? [
          ["two", 0.5],
          ["2", 0.25],
          ["one", 0.25],
        ]
      : [
          ["Yes", 0.875],
          ["No", 0.125],
        ];
    const top_logprobs = top.map(([token, p]) => ({ token, logprob: Math.log(p as number) }));
    if (model === "broken") response.writeHead(401).end("no such model");
    else response.end(JSON.stringify({ choices: [{ logprobs: { content: [{ top_logprobs }] } }] }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(dir, { recursive: true, force: true });
});

const toy = [
  "--model",
  "toy",
  "--strategy",
  "best-of-n",
  "--budget",
  "1",
  "--reward",
  "./test/fixtures/brightness.mjs",
];
const bench = (...argv: readonly string[]) => runHere(["bench", ...argv]);

describe("home-GenEval-2", { timeout: 300_000 }, () => {
  const out = () => join(dir, "home");
  it("is drawn by the embedded generator and judged by a detector, question by question", async () => {
    const { code, stdout, stderr } = await bench(
      ...["run", "--layout", "home-geneval-2", "--prompts", "5", "--samples", "1", "--workers", "0"],
      ...["--strategy", "single", "--budget", "1", "--out", out()],
      ...["--reward", "./test/fixtures/brightness.mjs"],
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^home-GenEval-2-protocol \(judge=detector-b@[0-9a-f]{8}\)/);
    expect(stdout).toMatch(/Skills\n======\ncount +=/);
    expect(stdout).toMatch(/Whole set\n=========\nSoft-TIFA AM +=.*\nSoft-TIFA GM +=/);
    expect(stdout).toMatch(/Overall score \(avg\. over images\): /);
    const { rows } = await readResults(join(out(), "results.jsonl"));
    expect(rows).toHaveLength(5);
    for (const { atoms, correct, score } of rows) {
      expect(correct).toBe(atoms!.every(({ p }) => p === 1));
      expect(score).toBe(Number(correct));
    }
    expect(rows.flatMap(({ atoms }) => atoms!).some(({ p }) => p === 1)).toBe(true);
  });

  it("is judged by a language model as well, and both stand side by side", async () => {
    const vlm = join(dir, "vlm.jsonl");
    const judged = await bench("judge", out(), "--judge", url, "--judge-model", "some VLM", "--out", vlm);
    expect(judged).toMatchObject({ code: 0 });
    expect(judged.stdout).toMatch(/^5 images judged by some_VLM@[0-9a-f]{8}, \d correct/);
    const { rows } = await readResults(vlm);
    expect(asked.shift()).toBe("Is this picture grey? Answer in one word.");
    expect(asked).toHaveLength(rows.flatMap(({ atoms }) => atoms!).length);
    expect(asked[0]).toMatch(/^How many .* are in the image\? Answer in one word\.$/);
    const colors = rows.flatMap(({ atoms }) => atoms!).filter(({ skill }) => skill === "attribute");
    for (const { p } of colors) expect(p).toBeCloseTo(0.875, 12);
    const { code, stdout } = await bench("agree", out(), vlm, "--json");
    expect(code).toBe(0);
    const compared = JSON.parse(stdout);
    expect(compared).toMatchObject({
      schemaVersion: 1,
      a: expect.stringMatching(/^detector-b@/),
      unpaired: 0,
    });
    expect(compared.questions.map(({ name }: { name: string }) => name)).toContain("count");
    const text = await bench("agree", out(), vlm);
    expect(text.stdout).toMatch(/never averaged/);
    expect((await bench("agree", vlm, vlm)).code).toBe(5);
    const wrong = await bench("compare", out(), vlm, "--layout", "home-geneval-2");
    expect(wrong).toMatchObject({ code: 5, stderr: expect.stringMatching(/judged by different judges/) });
    const broken = ["--judge", url, "--judge-model", "broken", "--out", join(dir, "broken.jsonl")];
    expect(await bench("judge", out(), ...broken)).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/judge broken at http.* it answered 401: no such model/),
    });
  });
});

describe("layouts of others", { timeout: 300_000 }, () => {
  it("DPG-Bench gets its samples in one picture, and goes on where it was", async () => {
    const csv = join(dir, "dpg.csv");
    await writeFile(
      csv,
      "item_id,text,proposition_id,dependency,tuple,question_natural_language\na1,a dog,1,0,entity - whole (dog),Is there a dog?\n",
    );
    const argv = [
      "generate",
      "--layout",
      "dpg",
      "--prompts",
      csv,
      "--samples",
      "4",
      "--workers",
      "0",
      "--out",
      join(dir, "dpg"),
      ...toy,
    ];
    const { code, stdout, stderr } = await bench(...argv);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(
      `4 images in ${join(dir, "dpg")}\nofficial judge: accelerate launch dpg_bench/compute_dpg_bench.py --image-root-path ${join(dir, "dpg")}/images --resolution WIDTH --pic-num SAMPLES --vqa-model mplug\n`,
    );
    const [whole, one] = [
      await decodePng(join(dir, "dpg/images/a1.png")),
      await decodePng(join(dir, "dpg/samples/a1_3.png")),
    ];
    expect([whole.width, whole.height]).toEqual([2 * one.width, 2 * one.height]);
    const before = (await stat(join(dir, "dpg/samples/a1_0.png"))).mtimeMs;
    await rm(join(dir, "dpg/samples/a1_3.png"));
    expect((await bench(...argv)).code).toBe(0);
    expect((await decodePng(join(dir, "dpg/samples/a1_3.png"))).data).toEqual(one.data);
    expect((await stat(join(dir, "dpg/samples/a1_0.png"))).mtimeMs).toBe(before);
    expect(JSON.parse(await readFile(join(dir, "dpg/evaluation.json"), "utf8"))).toMatchObject({
      benchmark: "dpg",
    });
  });

  it("refuses what cannot be before anything is drawn", async () => {
    const csv = join(dir, "oneig.csv");
    await writeFile(csv, "category,id,prompt_en\nPortrait,000,a man\n");
    const wise = join(dir, "wise.json");
    await writeFile(wise, JSON.stringify([{ Prompt: "x", prompt_id: 1 }]));
    const to = (name: string) => ["--out", join(dir, name), "--workers", "0", ...toy];
    const tries: [string[], number, RegExp][] = [
      [
        ["generate", "--layout", "oneig", "--prompts", csv, "--samples", "2", ...to("x1")],
        2,
        /files of OneIG-Bench hold 1, 4/,
      ],
      [["run", "--layout", "wise", "--prompts", wise, ...to("x2")], 2, /WISE is judged by its own scripts/],
      [["run", "--layout", "geneval-2", "--prompts", wise, ...to("x3")], 5, /no row of GenEval 2/],
      [["generate", "--layout", "dgp", "--prompts", csv, ...to("x4")], 2, /did you mean "dpg"\?/],
      [["generate", "--prompts", csv, ...to("x5")], 2, /--layout NAME is needed/],
      [["judge", dir, "--out", join(dir, "y.jsonl")], 2, /--layout NAME has to say/],
    ];
    for (const [argv, code, message] of tries) {
      expect(await bench(...argv), argv.join(" ")).toMatchObject({
        code,
        stderr: expect.stringMatching(message),
      });
    }
    for (const name of ["x1", "x2", "x3", "x4", "x5"]) {
      expect(await stat(join(dir, name, "evaluation.json")).catch(() => null)).toBeNull();
    }
  });
});

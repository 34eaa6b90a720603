import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { open, readRunRecord, readTrace } from "../../src/index.ts";
import { runHere } from "./support/run-here.ts";

const example = "./examples/rewrite-plain.mjs";
const settings = {
  model: "toy",
  reward: "./test/fixtures/brightness.mjs",
  strategy: "best-of-n",
  budget: 2,
} as const;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-rewrite-"));
});
afterAll(() => rm(dir, { recursive: true }));

async function drawn(prompt: string, rewrite?: string) {
  const tts = await open({ ...settings, ...(rewrite === undefined ? {} : { rewrite }) });
  try {
    for await (const answer of tts.search(prompt)) return { ...answer, unit: tts.plan().unit };
    throw new Error("no answer");
  } finally {
    await tts[Symbol.asyncDispose]();
  }
}

async function file(name: string, code: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, code);
  return path;
}

describe("--rewrite", { timeout: 120_000 }, () => {
  it("draws what the rewriter says, and leaves the prompt to the rewards", async () => {
    const seen = await file(
      "prompt-length.mjs",
      "export default (batch) => batch.map(({ prompt }) => prompt.length);",
    );
    const answer = await drawn("a crimson mug", example);
    expect(answer.task).toMatchObject({ prompt: "a crimson mug", drawn: "a red cup" });
    expect(answer.best.pixelHash).toBe((await drawn("a red cup")).best.pixelHash);
    const tts = await open({ ...settings, reward: seen, rewrite: example });
    for await (const { best } of tts.search("a crimson mug")) {
      expect(Object.values(best.scores)).toEqual(["a crimson mug".length]);
    }
    await tts[Symbol.asyncDispose]();
  });

  it("is charged once for a search, part of the unit", async () => {
    const costly = await file("costly.mjs", "export default { flops: 1e9, rewrite: (prompt) => prompt };");
    const [with_, without] = [await drawn("a cup", costly), await drawn("a cup")];
    expect(with_.unit - without.unit).toBe(1e9);
    expect(with_.spending.byKind.text - without.spending.byKind.text).toBe(1e9);
    expect(with_.best.pixelHash).toBe(without.best.pixelHash);
  });

  it("stands in the run folder and its trace, which can be decided again", async () => {
    const out = join(dir, "run");
    const argv = [
      "-p",
      "a crimson mug",
      "--rewrite",
      example,
      "--model",
      "toy",
      "-b",
      "2",
      "--strategy",
      "best-of-n",
    ];
    const reward = ["--reward", "./test/fixtures/brightness.mjs"];
    const { code, stdout, stderr } = await runHere([
      "search",
      ...argv,
      ...reward,
      "--out",
      out,
      "--json",
      "--quiet",
    ]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toMatchObject({ prompt: "a crimson mug", drawn: "a red cup" });
    const record = await readRunRecord(out);
    expect(Object.keys(record.models)).toContain(`rewrite ${example}`);
    const { rows } = await readTrace(out);
    expect(rows[0]).toMatchObject({ task: { prompt: "a crimson mug", drawn: "a red cup" } });
    expect(JSON.parse(await readFile(join(out, "metrics.json"), "utf8")).drawn).toBe("a red cup");
    expect((await runHere(["replay", out])).code).toBe(0);
  });

  it("asks a server, and says what is wrong with one or with a file", async () => {
    const asked: unknown[] = [];
    const server: Server = createServer((request, response) => {
      let body = "";
      request.on("data", (part) => (body += part));
      request.on("end", () => {
        asked.push(JSON.parse(body));
        response.end(JSON.stringify(request.url === "/bad" ? {} : { prompt: "two cups" }));
      });
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect((await drawn("cups", url)).task.drawn).toBe("two cups");
    expect(asked).toEqual([{ schemaVersion: 1, prompt: "cups", seed: 0 }]);
    await expect(drawn("cups", `${url}/bad`)).rejects.toThrow(/answered 200, not/);
    server.close();
    await expect(drawn("a", "plain")).rejects.toThrow(/give a file/);
    await expect(drawn("a", await file("none.mjs", "export default 3;"))).rejects.toThrow(/default export/);
    await expect(drawn("a", await file("empty.mjs", "export default () => '';"))).rejects.toThrow(
      /made no prompt/,
    );
    const broken = await file("broken.mjs", "export default () => { throw new Error('out of words'); };");
    await expect(drawn("a", broken)).rejects.toMatchObject({
      code: "PLUGIN_INVALID",
      message: expect.stringContaining("out of words"),
    });
  });
});

import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { searchArguments, shellLine } from "../../src/config/command-line.ts";
import { withRecipe } from "../../src/config/recipe-source.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { searchSchema } from "../../src/config/schema.ts";

const prompt = "a photo of a cow";
const options: Record<string, unknown> = { guidance: [1, 2.5], "a.b": null };
const example = {
  task: { prompt, negativePrompt: "'\"$HOME`!", seed: 1, metadata: {} },
  budget: 2,
  reward: { name: "clip", options: {} },
  model: { name: "embedded", options },
};

describe("a recipe from anywhere", () => {
  it.each([
    ["code for a reward", { reward: { name: "./evil.mjs" } }, "--set 'reward.name=\"./evil.mjs\"'"],
    ["a package", { strategy: { name: "npm:evil" } }, "strategy.name"],
    ["a bare name of a file", { model: "evil.mjs" }, "model"],
    ["a server", { model: { name: "http://example.org" } }, "model.name"],
    ["a server among options", { reward: { name: "http", options: { url: "http://x" } } }, "reward.options"],
    ["code within a mixture", { reward: { options: { terms: [{ "../x.js": 1 }] } } }, "reward.options"],
    ["a file of the reader's", { task: { source: "private.png" } }, "task.source"],
    ["a model of a hub", { features: { model: "somebody/model" } }, "features.model"],
  ])("is refused where it wants %s", (_, tree, named) => {
    const load = () => withRecipe("x.png", { ...tree }, {});
    expect(load).toThrow(/^the recipe in x.png reads files, runs code or calls a server/);
    expect(load).toThrow(named);
  });

  it("may want what its reader gives as well, and words may look as they like", () => {
    const tree = { task: { prompt: "a / b: ../c.mjs" }, reward: { name: "./r.mjs" }, calibration: "none" };
    const sources = withRecipe("x.png", tree, { sets: ['reward.name="./r.mjs"'] });
    expect(resolveConfig(sources).config.task.prompt).toBe("a / b: ../c.mjs");
  });

  it("decides nothing about output", () => {
    const tree = { task: { prompt }, out: "elsewhere", allowDownload: true, threads: 9 };
    const { config } = resolveConfig(withRecipe("x.png", tree, {}));
    expect(config).not.toHaveProperty("out");
    expect(config.allowDownload).toBe(false);
    expect(config).not.toHaveProperty("threads");
  });

  it("is validated as any configuration, and changed by flags", () => {
    const wrong = withRecipe("x.png", { task: { prompt }, budget: 0 }, {});
    expect(() => resolveConfig(wrong)).toThrow("budget (x.png): must be at least 1");
    const flags = [{ path: "budget", value: 2, flag: "--budget" }];
    expect(resolveConfig(withRecipe("x.png", { task: { prompt }, budget: 4 }, { flags })).config.budget).toBe(
      2,
    );
  });
});

describe("the command that repeats a search", () => {
  const words = (line: string): string[] =>
    execFileSync("bash", ["-c", `printf '%s\\0' ${line}`], { encoding: "utf8" })
      .split("\0")
      .slice(0, -1);
  const flags: Readonly<Record<string, string>> = {
    "--prompt": "task.prompt",
    "--budget": "budget",
    "--strategy": "strategy.name",
    "--reward": "reward.name",
    "--model": "model.name",
    "--seed": "task.seed",
  };
  /** What the command line makes of the words, through a real shell. */
  const read = (line: string) => {
    const [command, ...rest] = words(line);
    expect(command).toBe("search");
    const pairs = rest.flatMap((word, at) => (at % 2 === 0 ? [[word, rest[at + 1]!] as const] : []));
    return resolveConfig({
      flags: pairs
        .filter(([flag]) => flag !== "--set")
        .map(([flag, text]) => ({
          path: flags[flag]!,
          flag,
          value: ["--budget", "--seed"].includes(flag) ? Number(text) : text,
        })),
      sets: pairs.filter(([flag]) => flag === "--set").map(([, text]) => text),
    });
  };

  it("is short where settings are usual", () => {
    const config = searchSchema.parse({ task: { prompt: "it's a cow" }, budget: 8, out: "x", threads: 2 });
    expect(shellLine(searchArguments(config))).toBe("search --prompt 'it'\\''s a cow' --seed 0");
  });

  it("says everything that decides the result, whatever it holds", () => {
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 60 });
    const given = fc.record({
      task: fc.record({
        prompt: text.map((value) => `a${value}`),
        negativePrompt: text,
        seed: fc.nat(),
        metadata: fc.dictionary(text, fc.jsonValue({ maxDepth: 2 })),
      }),
      budget: fc.integer({ min: 1, max: 64 }),
      reward: fc.record({ name: text, options: fc.dictionary(text, text) }),
      model: fc.record({ name: text, options: fc.constant(options) }),
    });
    fc.assert(
      fc.property(given, (tree) => {
        const { config, hash } = resolveConfig({ file: { path: "f", tree, lineOf: () => undefined } });
        expect(read(shellLine(searchArguments(config))).hash).toBe(hash);
      }),
      {
        numRuns: 10,
        examples: [[{ ...example, task: { ...example.task, prompt: "--seed\u001b[31m\u202e\ud800" } }]],
      },
    );
  });
});

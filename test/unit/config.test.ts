import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { loadConfigFile } from "../../src/config/load.ts";
import { type ConfigSources, resolveConfig } from "../../src/config/resolve.ts";
import { TtsVarError } from "../../src/core/errors.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-config-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const prompt = { path: "task.prompt", value: "a cup", flag: "--prompt" };

async function fileWith(name: string, text: string) {
  const path = join(dir, name);
  await writeFile(path, text);
  return loadConfigFile(path);
}

function messageOf(sources: ConfigSources): string {
  try {
    resolveConfig(sources);
  } catch (error) {
    if (error instanceof TtsVarError && error.exitCode === 2) return error.message;
    throw error;
  }
  throw new Error("was accepted");
}

describe("resolveConfig", () => {
  it("needs a prompt only; everything else has a default", () => {
    const { config, origins } = resolveConfig({ flags: [prompt] });
    expect(config).toMatchObject({
      task: { seed: 0 },
      budget: 8,
      model: { name: "embedded", options: {} },
      strategy: { name: "auto", options: {} },
      reward: { name: "clip", options: {} },
    });
    expect(origins["task.prompt"]).toBe("--prompt");
    expect(origins["budget"]).toBe("default");
  });

  it("takes the strongest of default, file, flag and --set, and says which", async () => {
    const file = await fileWith(
      "layers.yaml",
      "budget: 2\ntask: { seed: 3 }\nmodel:\n  options:\n    topP: 0.5\n    guidance: 4\n",
    );
    const { config, origins } = resolveConfig({
      file,
      flags: [prompt, { path: "task.seed", value: 4, flag: "--seed" }],
      sets: ["model.options.topP=0.7", "strategy.options.widths=[4, 2]"],
    });
    expect([config.budget, config.task.seed]).toEqual([2, 4]);
    expect(config.model).toEqual({ name: "embedded", options: { topP: 0.7, guidance: 4 } });
    expect(config.strategy.options).toEqual({ widths: [4, 2] });
    expect(origins).toMatchObject({
      budget: `${file.path}:1`,
      "task.seed": "--seed",
      "model.options.topP": "--set",
      "model.options.guidance": `${file.path}:6`,
      "strategy.options.widths": "--set",
    });
  });

  it("leaves the options of another plug-in behind", async () => {
    const file = await fileWith("options.yaml", "strategy:\n  name: tts-var\n  options: { clusters: 4 }\n");
    const same = resolveConfig({
      file,
      flags: [prompt, { path: "strategy.name", value: "tts-var", flag: "-" }],
    });
    expect(same.config.strategy.options).toEqual({ clusters: 4 });
    const other = resolveConfig({
      file,
      flags: [prompt, { path: "strategy.name", value: "single", flag: "-" }],
    });
    expect(other.config.strategy).toEqual({ name: "single", options: {} });
    expect(Object.keys(other.origins)).not.toContain("strategy.options.clusters");
  });

  it("lists every problem with its origin and a suggestion", async () => {
    const file = await fileWith(
      "bad.yaml",
      "budgte: 3\nmodel:\n  sizes: 2\n  ratio: wide\nstrategy: single\n",
    );
    const message = messageOf({ file, flags: [{ path: "task.seed", value: "x", flag: "--seed" }] });
    expect(message.split("\n")).toHaveLength(6);
    expect(message).toContain(`budgte (${file.path}:1): unknown setting; did you mean "budget"?`);
    expect(message).toContain(`model.sizes (${file.path}:3): unknown setting; did you mean "size"?`);
    expect(message).toContain(`model.ratio (${file.path}:4): must be width:height, such as 4:3`);
    expect(message).toContain(
      'task.seed (--seed): must be a whole number from 0 to 9007199254740991, not "x"',
    );
    expect(message).toContain("task.prompt: must be a text; give it with --prompt");
  });

  it.each([0, -1, 1e9, Number.NaN, Number.POSITIVE_INFINITY, "many", null, 4096.5])(
    "refuses budget %s with the allowed range",
    (value) => {
      const message = messageOf({ flags: [prompt, { path: "budget", value, flag: "--budget" }] });
      expect(message).toMatch(/^invalid configuration:\n {2}budget \(--budget\): must be .*1.*4096/);
    },
  );

  it.each([1, 1.5, 4096])("accepts budget %s", (value) => {
    const { config } = resolveConfig({ flags: [prompt, { path: "budget", value, flag: "--budget" }] });
    expect(config.budget).toBe(value);
  });

  it.each(["", "   ", "\n\t"])("refuses the blank prompt %j", (value) => {
    expect(messageOf({ flags: [{ ...prompt, value }] })).toContain("must not be empty");
  });

  it("accepts a prompt of 10,000 characters and refuses absurd ones", () => {
    expect(
      resolveConfig({ flags: [{ ...prompt, value: "dog ".repeat(2500) }] }).config.task.prompt,
    ).toHaveLength(10_000);
    expect(messageOf({ flags: [{ ...prompt, value: "x".repeat(100_001) }] })).toContain("100000 characters");
  });

  it.each(["=1", "a..b=1", "task.seed", ".x=1"])("refuses --set %j", (text) => {
    expect(messageOf({ flags: [prompt], sets: [text] })).toContain("path=value");
  });

  it("hashes what can change a result, whatever the order or origin", async () => {
    const file = await fileWith("same.yaml", "task: { seed: 5, prompt: a cup }\nbudget: 4\n");
    const fromFile = resolveConfig({ file });
    const fromFlags = resolveConfig({
      flags: [prompt],
      sets: ["budget=4", "task.seed=5", "out=elsewhere", "threads=1"],
    });
    expect(fromFlags.hash).toBe(fromFile.hash);
    expect(resolveConfig({ file, sets: ["task.seed=6"] }).hash).not.toBe(fromFile.hash);
  });

  it("never touches the prototype", () => {
    expect(messageOf({ flags: [prompt], sets: ["__proto__.polluted=1"] })).toContain("__proto__");
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("loadConfigFile", () => {
  it("gives line and column of a syntax error", async () => {
    await writeFile(join(dir, "syntax.yaml"), "threads: 1\nbudget: [1, 2\n");
    await expect(loadConfigFile(join(dir, "syntax.yaml"))).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(/syntax\.yaml:\d+:\d+: /),
    });
  });

  it("says what to do about a file that is not there", async () => {
    await expect(loadConfigFile(join(dir, "none.yaml"))).rejects.toMatchObject({
      code: "CONFIG_NOT_FOUND",
      message: expect.stringContaining("list configs"),
    });
  });

  it("takes an empty file for no settings, and refuses a list", async () => {
    expect((await fileWith("empty.yaml", "# nothing\n")).tree).toEqual({});
    await expect(fileWith("list.yaml", "- 1\n")).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it("resolves paths against the file, and leaves names alone", async () => {
    const { tree } = await fileWith("paths.yaml", "reward: ./score.mjs\nmodel: generator\nout: runs/x\n");
    const here = (name: string) => expect.stringMatching(new RegExp(`^\\.\\.?/.*${name}$`));
    expect(tree).toEqual({
      reward: { name: here("score.mjs") },
      model: { name: "generator" },
      out: here("runs/x"),
    });
  });
});

describe("configs/", () => {
  it("schema.json is what the schema says", async () => {
    const committed = JSON.parse(await readFile("configs/schema.json", "utf8"));
    expect(committed, "run: npm run schema").toEqual(configJsonSchema());
  });

  it("every preset is valid and says what it is for", async () => {
    const presets = (await readdir("configs")).filter((name) => name.endsWith(".yaml"));
    expect(presets).toContain("default.yaml");
    for (const name of presets) {
      const file = await loadConfigFile(join("configs", name));
      resolveConfig({ file, flags: [prompt] });
      expect((await readFile(join("configs", name), "utf8")).split("\n")[0]).toMatch(/^# .{20,}/);
    }
  });
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addSearchFlags, resolveFlags } from "../../src/cli/flags.ts";
import { quantity, table } from "../../src/cli/output.ts";
import { progressStyle } from "../../src/cli/progress.ts";
import { buildProgram } from "../../src/cli/run.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { orAborted } from "../../src/run/interrupt.ts";
import { makeNewFolder, runName } from "../../src/run/run-name.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-cli-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function parse(...argv: string[]) {
  const command = addSearchFlags(new Command("search")).exitOverride();
  command.parse(argv, { from: "user" });
  return resolveFlags(command);
}

describe("flags", () => {
  it("become configuration values with their origin", async () => {
    const { config, origins } = await parse(
      ...["-p", "a cup", "-b", "4", "--strategy", "single", "--guidance", "3,2", "--temperature", "0.8"],
      ...[
        "--widths",
        "8,4",
        "--seed",
        "12",
        "--set",
        "model.options.topP=0.5",
        "--set",
        "reward.options.a=[1]",
      ],
    );
    expect(config).toMatchObject({
      task: { prompt: "a cup", seed: 12 },
      budget: 4,
      strategy: { name: "single", options: { widths: [8, 4] } },
      reward: { name: "clip", options: { a: [1] } },
      model: { name: "embedded", options: { guidance: [3, 2], temperature: 0.8, topP: 0.5 } },
    });
    expect(origins).toMatchObject({
      budget: "--budget",
      "strategy.options.widths": "--widths",
      "model.options.topP": "--set",
    });
    expect(origins["model.name"]).toBe("default");
  });

  it("take texts for later stages, and quote what is none", async () => {
    const { config } = await parse("-p", "a cup", "--prompt-at", "2:a dog", "--prompt-at", "4: a cat: blue");
    expect(config.task.promptAt).toEqual([
      { stage: 2, prompt: "a dog" },
      { stage: 4, prompt: "a cat: blue" },
    ]);
    await expect(parse("-p", "a cup", "--prompt-at", "a dog")).rejects.toThrow(/promptAt.*whole number/s);
    await expect(parse("-p", "a cup", "--prompt-at", "0:a dog")).rejects.toThrow(/whole number from 1/);
  });

  it.each([
    ["--budget", "abc", 'budget (--budget): must be a number from 1 to 4096, not "abc"'],
    ["--budget", "", 'budget (--budget): must be a number from 1 to 4096, not ""'],
    ["--budget", "NaN", 'not "NaN"'],
    ["--budget", "1e9", "at most 4096, not 1000000000"],
    ["--budget", "-1", "at least 1"],
    ["--seed", "1.5", "whole number"],
    ["--threads", "0", "from 1 to 256"],
    ["--sheet", "some", '"seen", "full" or "none"'],
  ])("%s %j is refused with the reason", async (flag, value, reason) => {
    await expect(parse("-p", "a cup", flag, value)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(reason),
    });
  });

  it.each([
    ["--top-p", "0", "model.options.topP: must be above 0"],
    ["--guidance", "1,x", "model.options.guidance: must be a number from 0 to 100"],
    ["--set", "model.options.topp=1", 'did you mean "topP"?'],
  ])("%s %j is refused by the generator with the reason", async (flag, value, reason) => {
    const { config } = await parse("-p", "a cup", flag, value);
    await expect(toyDefinition.describe({ settings: config.model.options })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(reason),
    });
  });

  it("find presets by name", async () => {
    const { origins } = await parse("-p", "a cup", "--config", "default");
    expect(origins["budget"]).toMatch(/configs\/default\.yaml:\d+$/);
    await expect(parse("-p", "a cup", "--config", "no-such")).rejects.toMatchObject({
      code: "CONFIG_NOT_FOUND",
    });
  });
});

describe("help", () => {
  it("of search teaches every flag, default and an example", async () => {
    const program = await buildProgram(["search"]);
    const search = program.commands.find((command) => command.name() === "search")!;
    let help = "";
    search.configureOutput({ getOutHelpWidth: () => 110, writeOut: (text) => (help += text) });
    search.outputHelp();
    expect(help).toMatchSnapshot();
  });

  it("lists every command once", async () => {
    const names = (await buildProgram([])).commands.map((command) => command.name());
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(["search", "plan", "list", "models", "doctor"]));
  });
});

describe("progress", () => {
  const terminal = { isTTY: true };
  it.each([
    [{}, terminal, { live: true, color: true }],
    [{ NO_COLOR: "1" }, terminal, { live: true, color: false }],
    [{ CI: "true" }, terminal, { live: false, color: true }],
    [{ TERM: "dumb" }, terminal, { live: false, color: false }],
    [{}, {}, { live: false, color: false }],
  ])("with %j on %j is %j", (environment, stream, style) => {
    expect(progressStyle(false, environment, stream)).toMatchObject(style);
    expect(progressStyle(true, environment, stream).live).toBe(false);
  });
});

describe("interrupts", () => {
  it("win over work that does not end, and lose against work that is done", async () => {
    const controller = new AbortController();
    const endless = orAborted(new Promise(() => {}), controller.signal);
    expect(await orAborted(Promise.resolve(1), controller.signal)).toBe(1);
    controller.abort(new Error("stop"));
    await expect(endless).rejects.toThrow("stop");
    await expect(orAborted(Promise.resolve(1), controller.signal)).rejects.toThrow("stop");
  });
});

describe("run folders", () => {
  const noon = new Date("2026-11-23T19:15:00.123Z");
  it.each([
    ["A photo of TWO dogs!", "20261123T191500Z-a-photo-of-two-dogs-1f3a9c2e"],
    ["../../etc/passwd", "20261123T191500Z-etc-passwd-1f3a9c2e"],
    ["狗", "20261123T191500Z-1f3a9c2e"],
    ["dog ".repeat(100), `20261123T191500Z-${"dog-".repeat(10).slice(0, -1)}-1f3a9c2e`],
  ])("of the prompt %j are named %s", (prompt, name) => {
    expect(runName(noon, prompt, `1f3a9c2e${"0".repeat(56)}`)).toBe(name);
  });

  it("never share a name", async () => {
    const made = await Promise.all([1, 2, 3].map(() => makeNewFolder(join(dir, "runs"), "same")));
    expect(new Set(made).size).toBe(3);
  });
});

describe("output", () => {
  it("aligns columns and scales quantities", () => {
    const rows = [
      { name: "a", value: 1 },
      { name: "long", value: 22 },
    ];
    const columns = [
      { title: "name", cell: (row: { name: string }) => row.name },
      { title: "n", align: "right" as const, cell: (row: { value: number }) => String(row.value) },
    ];
    expect(table(rows, columns)).toBe("name   n\na      1\nlong  22");
    expect([0, 999, 1234, 5.6e9, 2e15].map(quantity)).toEqual(["0.00", "999", "1.23 k", "5.60 G", "2.00 P"]);
  });
});

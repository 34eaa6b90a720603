import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../../src/io/png.ts";
import { runHere } from "../e2e/support/run-here.ts";
import { DESK, openBrowser, openPage, PHONE, scrollsSideways, seriousFindings } from "./support.ts";

/** Markup, right-to-left and zero-width characters, a terminal's escapes, and ten thousand characters. */
const HOSTILE = [
  'a photo of a blue dog </h1></title><script>window.pwned = 1</script><img src=x onerror="window.pwned=1">',
  "\"' onfocus=window.pwned=1 autofocus \u202e desrever \u2066 \u200b\u200d\u0007\u001b[31m \ud800",
  "שלום <svg/onload=window.pwned=1> {window.pwned=1} {{x}} javascript:pwned ",
  "x".repeat(10_000),
].join("\n");

let browser: Browser;
let dir: string;
beforeAll(async () => {
  browser = await openBrowser();
  dir = await mkdtemp(join(tmpdir(), "tts-var-report-"));
});
afterAll(async () => {
  await browser?.close();
  await rm(dir, { recursive: true, force: true });
});

const addressOf = (path: string): string => pathToFileURL(path).href;

describe("the report of a search", () => {
  beforeAll(async () => {
    const argv = [
      "search",
      "--strategy",
      "tts-var",
      "-b",
      "16",
      "--sheet",
      "none",
      "--quiet",
      "-p",
      HOSTILE,
      "--out",
      join(dir, "run"),
    ];
    expect((await runHere(argv)).code).toBe(0);
  });

  it("is small, asks for nothing, runs nothing of the prompt, and can be read by all", async () => {
    const path = join(dir, "run", "report.html");
    expect(statSync(path).size).toBeLessThan(3_000_000);
    for (const [colorScheme, viewport] of [
      ["light", DESK],
      ["dark", DESK],
      ["light", PHONE],
    ] as const) {
      const { page, complaints, requests, close } = await openPage(browser, { colorScheme, viewport });
      await page.goto(addressOf(path));
      expect(await page.locator("h1").textContent()).toContain("</h1></title><script>window.pwned = 1");
      expect(await page.evaluate("window.pwned")).toBeUndefined();
      expect(await page.locator("svg.tree .cell").count()).toBeGreaterThan(60);
      expect(await page.locator("h2").allTextContents()).toEqual([
        ...["The answer", "Candidates by stage", "Finished pictures", "Reward by stage and lineage"],
        ...["Cost against the budget", "Repeat it"],
      ]);
      expect(await scrollsSideways(page)).toBe(false);
      expect(await seriousFindings(page)).toEqual([]);
      expect([complaints, requests]).toEqual([[], []]);
      await close();
    }
  });

  it("is walked by keys, and tells all of a candidate", async () => {
    const { page, complaints, close } = await openPage(browser);
    await page.goto(addressOf(join(dir, "run", "report.html")));
    const detail = page.locator("#detail");
    await expect.poll(() => detail.textContent()).toContain("the answer");
    await page.locator(".cell.answer").focus();
    await page.keyboard.press("ArrowUp");
    await expect.poll(() => detail.textContent()).toMatch(/kept.*weight \d/s);
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Home");
    expect(await page.evaluate("document.activeElement.id")).toMatch(/^s\d-c0$/);
    await page.locator(".cell.dropped").first().hover();
    await expect.poll(() => detail.textContent()).toMatch(/dropped.*cluster \d/s);
    expect(await page.locator(".cell[tabindex='0']").count()).toBe(1);
    expect(complaints).toEqual([]);
    await close();
  });
});

describe("the index of a GenEval run", () => {
  const PROMPTS = 553;
  const image = encodePng({ width: 8, height: 8, data: new Uint8Array(192).fill(90) });
  /** A judged run: every third prompt fails in one, every fourth in the other. */
  const writeRun = async (name: string, period: number): Promise<string> => {
    const run = join(dir, name);
    const rows = Array.from({ length: PROMPTS }, (_, index) => {
      const prompt = index === 0 ? HOSTILE.slice(0, 300).toString() : `a photo of thing ${index}`;
      const tag = ["single_object", "counting", "colors"][index % 3]!;
      const filename = `${String(index).padStart(5, "0")}/samples/0000.png`;
      const correct = index % period !== 0;
      const reason = correct ? "" : `<b>expected</b> ${index}`;
      const metadata = JSON.stringify({ prompt, tag });
      return JSON.stringify({ filename, tag, prompt, correct, reason, metadata, details: "{}" });
    });
    mkdirSync(run, { recursive: true });
    writeFileSync(join(run, "results.jsonl"), rows.map((row) => `${row}\n`).join(""));
    for (let index = 0; index < PROMPTS; index++) {
      const folder = join(run, String(index).padStart(5, "0"), "samples");
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "0000.png"), await image);
    }
    return run;
  };

  it("is small, loads what is looked at, and shows what flipped between two runs", async () => {
    const [a, b] = [await writeRun("a", 3), await writeRun("b", 4)];
    expect((await runHere(["report", a, "--against", b])).code).toBe(0);
    const path = join(a, "report.html");
    expect(statSync(path).size).toBeLessThan(5_000_000);
    for (const [colorScheme, viewport] of [
      ["dark", DESK],
      ["light", PHONE],
    ] as const) {
      const { page, complaints, requests, close } = await openPage(browser, { colorScheme, viewport });
      await page.goto(addressOf(path));
      await page.locator("img").first().scrollIntoViewIfNeeded();
      expect(requests.length).toBeGreaterThan(0);
      expect(requests.length).toBeLessThan(PROMPTS);
      expect(requests.every((url) => url.startsWith(addressOf(dir)))).toBe(true);
      const count = page.locator("#count");
      await expect.poll(() => count.textContent()).toBe("553 of 553 shown");
      await page.getByLabel("Outcome").selectOption("better");
      // Failed by the second run alone: divided by four, but not by three.
      await expect.poll(() => count.textContent()).toBe("92 of 553 shown");
      await page.getByLabel("Outcome").selectOption("flipped");
      await page.getByRole("combobox", { name: "Tag" }).selectOption({ label: "single_object" });
      await expect.poll(() => count.textContent()).toBe("138 of 553 shown");
      expect(await page.evaluate("window.pwned")).toBeUndefined();
      expect(await scrollsSideways(page)).toBe(false);
      expect(await seriousFindings(page)).toEqual([]);
      expect(complaints).toEqual([]);
      await close();
    }
  });
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { readRunRecord } from "../../src/run/run-folder.ts";
import { TestStudio } from "../e2e/support/studio.ts";
import { DESK, openBrowser, openPage, PHONE, scrollsSideways, seriousFindings } from "./support.ts";

// Searches of a busy machine may take long; nothing here is expected to.
vi.setConfig({ testTimeout: 300_000 });

let dir: string;
let browser: Browser;
let studio: TestStudio;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-studio-browser-"));
  studio = await TestStudio.open(dir, { flags: [{ path: "budget", value: 3, flag: "--budget" }] });
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await studio[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const open = async (options = {}, hash = "") => {
  const watched = await openPage(browser, options);
  // A busy machine draws slowly; nothing here is expected to be fast.
  watched.page.setDefaultTimeout(110_000);
  await watched.page.goto(studio.served.url + hash);
  await watched.page.waitForSelector("#form");
  return watched;
};
const SELECTS = ["Strategy", "Model", "Reward"];
const fill = async (page: Page, values: Readonly<Record<string, string>>) => {
  for (const [name, value] of Object.entries(values)) {
    const field = page.getByLabel(name, { exact: true });
    if (SELECTS.includes(name)) await field.selectOption(value);
    else await field.fill(value);
  }
  await page.waitForSelector(".plan strong");
};
const start = (page: Page) => page.getByRole("button", { name: "Search", exact: true }).click();
const answer = (page: Page) => page.locator(".run .answer img");
const done = (page: Page) => page.waitForSelector(".run .state.done");
/** A search that does not end by itself. */
const endless = { Prompt: "a photo of a cup", Model: "toy", Strategy: "best-of-n", Budget: "4000" };

it("draws a prompt, shows the search and its answer, and goes on from a candidate", async () => {
  const { page, complaints, requests, close } = await open();
  expect(new URL(page.url()).search).toBe("");
  await fill(page, { Prompt: "a photo of a blue dog <img src=x onerror=alert(1)> \u202e\u200b" });
  expect(await page.locator(".plan").textContent()).toMatch(/Costs at most [\d.]+ of 3 units/);
  await page.keyboard.press("Tab");
  await start(page);
  await done(page);
  await answer(page).waitFor();
  expect(
    await page
      .locator(".run img")
      .evaluateAll((images) =>
        images.every((image) => (image as unknown as { naturalWidth: number }).naturalWidth > 0),
      ),
  ).toBe(true);
  expect(await page.locator(".run h2").textContent()).toContain("<img src=x");
  expect(await page.locator(".stages > li").count()).toBeGreaterThan(3);
  expect(await seriousFindings(page)).toEqual([]);

  await page.locator(".tile.best").press("Enter");
  await page.waitForSelector("dialog[open]");
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole("button", { name: "Go on from here" }).click();
  expect(await page.locator("#form .from").textContent()).toMatch(
    /Goes on from c[\d.]+, with its first 6 stages kept/,
  );
  await page.waitForSelector(".plan strong");
  const before = page.url();
  await start(page);
  await page.waitForURL((url) => url.href !== before);
  await done(page);
  expect(await page.locator(".run .facts").first().textContent()).toMatch(/from c[\d.]+, 6 stages/);
  expect(complaints).toEqual([]);
  expect(requests.filter((url) => !url.startsWith(studio.origin))).toEqual([]);
  await close();
});

it("shows two strategies side by side on one seed, in the dark, at a desk and on a phone", async () => {
  const { page, complaints, close } = await open({ colorScheme: "dark" });
  await fill(page, { Prompt: "a photo of a green cup and a red cow", Seed: "7" });
  await page.getByRole("button", { name: "Best-of-n beside it" }).click();
  await page.locator(".comparison .state.done").nth(1).waitFor();
  const facts = await page.locator(".comparison header .facts").allInnerTexts();
  expect(facts.map((text) => text.replace(/\s+/g, " ").split(" budget")[0])).toEqual(["best-of-n", "auto"]);
  expect(facts.every((text) => /budget 3\s+seed 7/.test(text))).toBe(true);
  for (const viewport of [DESK, PHONE]) {
    await page.setViewportSize(viewport);
    expect(await scrollsSideways(page)).toBe(false);
    expect(await seriousFindings(page)).toEqual([]);
  }
  expect(complaints).toEqual([]);
  await close();
});

it("is right in several tabs, after a reload in mid-run and after a cancellation", async () => {
  const first = await open();
  await fill(first.page, endless);
  await start(first.page);
  await first.page.waitForSelector(".run .state.running");
  await first.page.waitForSelector(".stages .tile");
  const hash = new URL(first.page.url()).hash;
  const second = await open({}, hash);
  await first.page.reload();
  for (const { page } of [first, second]) {
    await page.waitForSelector(".run .state.running");
    await page.waitForSelector(".stages .tile");
  }
  await second.page.getByRole("button", { name: "Cancel" }).click();
  for (const { page } of [first, second]) await page.waitForSelector(".run .state.aborted");
  const id = decodeURIComponent(hash.split("/").at(-1)!);
  expect((await readRunRecord(join(dir, id))).status).toBe("aborted");
  expect([...first.complaints, ...second.complaints]).toEqual([]);
  await first.close();
  await second.close();
});

it("tells a browser without the token that it may not look", async () => {
  const { page, close } = await openPage(browser);
  await page.goto(`${studio.origin}/`);
  await page.waitForSelector(".notice:not(:empty)");
  expect(await page.locator(".notice").textContent()).toContain("This browser may not use the studio");
  expect(await page.locator("body").textContent()).not.toContain("dog");
  await close();
});

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBrowser, openPage, PHONE, scrollsSideways, seriousFindings } from "./support.ts";

// What the other tests rely on: that a page which misbehaves is noticed.

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser?.close());

it("notices requests, errors, broken policies, inaccessible parts and sideways scrolling", async () => {
  const { page, complaints, requests, close } = await openPage(browser);
  await page.setContent(`<!doctype html><html lang="en"><title>bad</title>
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src http:">
    <h1>bad</h1><img src="http://127.0.0.1:9/x.png"><div style="width: 3000px">wide</div>
    <script>alert(1)</script></html>`);
  await page.waitForLoadState("load");
  expect(requests).toEqual(["http://127.0.0.1:9/x.png"]);
  expect(complaints.join("\n")).toMatch(/Content Security Policy/);
  expect((await seriousFindings(page)).join("\n")).toMatch(/image-alt/);
  await page.evaluate("document.querySelector('div').style.setProperty('width', '3000px')");
  expect(await scrollsSideways(page)).toBe(true);
  await close();
});

it("finds nothing in a page that behaves", async () => {
  const { page, complaints, requests, close } = await openPage(browser, { viewport: PHONE });
  await page.setContent(
    `<!doctype html><html lang="en"><title>good</title><main><h1>good</h1><p>words</p></main></html>`,
  );
  expect(complaints).toEqual([]);
  expect(requests).toEqual([]);
  expect(await seriousFindings(page)).toEqual([]);
  expect(await scrollsSideways(page)).toBe(false);
  await close();
});

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Chromium of this machine: `TTS_VAR_CHROMIUM`, or a program of that name on the PATH. */
export function chromiumPath(): string {
  const named = process.env["TTS_VAR_CHROMIUM"];
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const found =
    named ??
    folders
      .flatMap((folder) =>
        ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)),
      )
      .find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error("browser tests need Chromium: `apt-get install chromium`, or name it in TTS_VAR_CHROMIUM");
}

/** A headless browser that reaches this machine only. The caller closes it. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: ["--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
  });
}

/** A page that writes down what must not happen. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors and warnings of the console (refusals by the page's policy among them), and uncaught exceptions. */
  readonly complaints: string[];
  /** Addresses that the page asked for, its own and data within it left out. */
  readonly requests: string[];
  close(): Promise<void>;
}

export const PHONE = { width: 360, height: 740 } as const;
export const DESK = { width: 1280, height: 900 } as const;

/** A page in a context of its own: nothing is shared with other pages, cookies neither. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: DESK, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.isNavigationRequest() && !request.url().startsWith("data:")) requests.push(request.url());
  });
  return { page, complaints, requests, close: () => context.close() };
}

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** What axe-core finds serious or critical on the page, as text. */
export async function seriousFindings(page: Page): Promise<string[]> {
  // Evaluated by the debugger, so that the page's own policy stays in force.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<{ violations: Finding[] }>("axe.run(document)");
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
}

/** Whether the page is wider than its window, so that a phone would have to scroll sideways. */
export function scrollsSideways(page: Page): Promise<boolean> {
  return page.evaluate<boolean>("document.documentElement.scrollWidth > window.innerWidth");
}

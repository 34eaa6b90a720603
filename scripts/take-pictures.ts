import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { packageRoot } from "../src/io/package-root.ts";
import { openBrowser } from "../test/browser/support.ts";

// `npm run pictures`: the pictures of the documents, from the first search of docs/tutorial.md. Needs Chromium.
const images = join(packageRoot(), "docs", "images");
const out = await mkdtemp(join(tmpdir(), "tts-var-pictures-"));
const tutorial = await readFile(join(packageRoot(), "docs", "tutorial.md"), "utf8");
const [, prompt, rest] = /search --prompt "([^"]+)" (.*) --out results\/runs\/first/.exec(tutorial)!;
const argv = ["search", "--prompt", prompt!, ...rest!.split(" "), "--out", out];
await promisify(execFile)(process.execPath, [join(packageRoot(), "bin", "tts-var.mjs"), ...argv]);

const browser = await openBrowser();
const page = await browser.newPage({ viewport: { width: 1120, height: 1200 }, colorScheme: "light" });
await page.goto(pathToFileURL(join(out, "report.html")).href);
await page.screenshot({ path: join(images, "report.png") });
await browser.close();
await writeFile(join(images, "first-light.png"), await readFile(join(out, "sheet.png")));
await rm(out, { recursive: true });
console.log(images);

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";

describe("the package", { timeout: 120_000 }, () => {
  let files: string[];
  beforeAll(async () => {
    const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const { stdout } = await promisify(execFile)("npm", args, { maxBuffer: 2 ** 26 });
    const [packed] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    files = packed.files.map(({ path }) => path);
  }, 120_000);

  it("has its documents, with every page, picture and table that they point to", async () => {
    const pages = files.filter((file) => file.endsWith(".md"));
    expect(pages).toContain("docs/api.md");
    const missing: string[] = [];
    for (const page of pages) {
      for (const [, target] of (await readFile(page, "utf8")).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        const path = join(dirname(page), target!).replace(/\/$/, "");
        if (!files.some((file) => file === path || file.startsWith(`${path}/`)))
          missing.push(`${page}: ${path}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it("has no tests, sources of trainings or runs of whoever packs it", () => {
    const strange = files.filter((file) => /^(?:test|src|training(?!\/README)|results\/runs)\b/.test(file));
    expect(strange).toEqual([]);
  });
});

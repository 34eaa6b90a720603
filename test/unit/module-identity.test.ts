import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { identify } from "../../src/plugins/module-identity.ts";

let dir: string;
const put = (name: string, text: string) => writeFile(join(dir, name), text);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "identity-"));
  await mkdir(join(dir, "parts", "deep"), { recursive: true });
});
afterAll(() => rm(dir, { recursive: true }));

describe("a module's identity", () => {
  it.each([
    ["import { a } from './parts/a.mjs';", "parts/a.mjs"],
    ['import"./parts/b.mjs"', "parts/b.mjs"],
    ['export * from "./parts/c.mjs"', "parts/c.mjs"],
    ["const d = await import(`./parts/d.mjs`)", "parts/d.mjs"],
    ['const e = require("./parts/e")', "parts/e.cjs"],
    ['import f from "./parts/f.json" with { type: "json" }', "parts/f.json"],
    ['const g = readFileSync(new URL("./parts/g.bin", import.meta.url))', "parts/g.bin"],
    ['import { h } from "./parts/h.js"', "parts/h.ts"],
    ['const i = require("./parts/deep")', "parts/deep/index.js"],
    ['import {\n  j,\n} from /* late */ "./parts/j.mjs?x=1"', "parts/j.mjs"],
  ])("%s counts", async (line, file) => {
    await put("main.mjs", line);
    await put(file, "1");
    const before = await identify(join(dir, "main.mjs"));
    expect(Object.keys(before.imports)).toEqual([file]);
    await put(file, "2");
    const after = await identify(join(dir, "main.mjs"));
    expect(after.sha256).toBe(before.sha256);
    expect(after.identity).not.toBe(before.identity);
  });

  it("reaches through imports of imports and circles; packages, Node and lost files are left out", async () => {
    await put("main.mjs", 'import "./one.mjs"; import "node:fs"; import "zod"; import "./none.mjs";');
    await put("one.mjs", 'import "./two.mjs"; import "./main.mjs";');
    await put("two.mjs", 'export default "old"');
    const before = await identify(join(dir, "main.mjs"));
    expect(Object.keys(before.imports)).toEqual(["one.mjs", "two.mjs"]);
    await put("two.mjs", 'export default "new"');
    expect((await identify(join(dir, "main.mjs"))).identity).not.toBe(before.identity);
  });

  it("is a lone file's own hash", async () => {
    await put("lone.mjs", "export default 1");
    const { sha256, imports, identity } = await identify(join(dir, "lone.mjs"));
    expect([imports, identity]).toEqual([{}, sha256.slice(0, 16)]);
  });
});

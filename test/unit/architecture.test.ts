import { readdirSync, readFileSync, statSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

interface Zone {
  /** Folders that files of this zone may import from, besides their own. */
  readonly sees: readonly string[];
  /** npm packages and Node modules they may import. */
  readonly packages: readonly string[];
}

const ANY_NODE = "node:*";

/** Who may import what. The longest folder that fits a file decides. */
const ZONES: Readonly<Record<string, Zone>> = {
  "src/core": { sees: [], packages: ["node:crypto"] },
  search: { sees: ["search/parts", "src/core"], packages: ["zod"] },
  "search/parts": { sees: ["src/core"], packages: ["zod"] },
  rewards: {
    sees: ["rewards/parts", "src/core", "src/io", "src/inference", "src/eval/geneval"],
    packages: ["zod", ANY_NODE],
  },
  "rewards/parts": {
    sees: ["src/core", "src/io", "src/inference", "src/eval/geneval"],
    packages: ["zod", ANY_NODE],
  },
  "src/engine": { sees: ["src/core"], packages: [] },
  "src/threads": { sees: ["src/core"], packages: ["tsx", ANY_NODE] },
  "src/inference": {
    sees: ["src/core", "src/threads", "src/io"],
    packages: [
      "zod",
      "sharp",
      "onnxruntime-node",
      "@xenova/transformers",
      "@huggingface/tokenizers",
      ANY_NODE,
    ],
  },
  "src/http": { sees: ["src/core"], packages: [ANY_NODE] },
  // Decides for loops of other programs.
  "src/selection": {
    sees: ["src/core", "src/engine", "src/config", "src/http"],
    packages: ["zod", ANY_NODE],
  },
  "src/generators": {
    sees: ["src/core", "src/inference", "src/threads", "src/http"],
    packages: ["zod", ANY_NODE],
  },
  "src/features": { sees: ["src/core", "src/inference", "src/plugins"], packages: ["zod", ANY_NODE] },
  "src/plugins": { sees: ["src/core", "src/scoring", "src/threads"], packages: ["zod", "jiti", ANY_NODE] },
  "src/scoring": { sees: ["src/core"], packages: [ANY_NODE] },
  "src/config": { sees: ["src/core", "src/io"], packages: ["zod", "yaml", ANY_NODE] },
  "src/io": { sees: ["src/core"], packages: ["sharp", ANY_NODE] },
  "src/queue": {
    sees: ["src/core", "src/engine", "src/io", "src/config"],
    packages: ["zod", "p-limit", "bullmq", ANY_NODE],
  },
  // No benchmark is known by name outside its own folder: the port of src/core/benchmark.ts is all that is seen.
  "src/eval": {
    sees: [
      "src/core",
      "src/engine",
      "src/io",
      "src/config",
      "src/queue",
      "src/inference",
      "src/eval/statistics",
    ],
    packages: ["zod", "p-limit", "sharp", ANY_NODE],
  },
  "src/eval/geneval": { sees: ["src/core", "src/io", "src/inference"], packages: ["zod", "sharp", ANY_NODE] },
  "src/eval/benchmarks": {
    sees: ["src/core", "src/io", "src/inference", "src/eval/geneval"],
    packages: ["zod", "p-limit", ANY_NODE],
  },
  "src/eval/statistics": { sees: ["src/core"], packages: [] },
  "src/report": {
    sees: ["src/core", "src/engine", "src/io", "src/config", "src/eval"],
    packages: ["sharp", "linkedom", "@observablehq/plot", ANY_NODE],
  },
  "src/studio": {
    sees: [
      "src/core",
      "src/engine",
      "src/io",
      "src/config",
      "src/report",
      "src/eval",
      "src/run",
      "src/assemble",
      "src/generators",
    ],
    packages: ["hono", "@hono/node-server", "fflate", "yaml", "zod", ANY_NODE],
  },
  "src/study": {
    sees: ["src/core", "src/engine", "src/io", "src/config", "src/eval", "src/eval/statistics"],
    packages: ["zod", "p-limit", "linkedom", "@observablehq/plot", ANY_NODE],
  },
  "src/testing": {
    sees: ["src/core", "src/engine", "src/generators", "src/scoring"],
    packages: ["vitest", "zod", ANY_NODE],
  },
  // The composition root: wires names to implementations. Only those who run something import it.
  "src/assemble": { sees: ["src", "search", "rewards"], packages: ["zod", ANY_NODE] },
  // A search into a folder: for the command line, the studio and workers alike.
  "src/run": {
    sees: ["src/core", "src/engine", "src/io", "src/config", "src/report", "src/assemble", "src/generators"],
    packages: ["zod", ANY_NODE],
  },
  src: { sees: ["src", "search", "rewards"], packages: [] },
  // Imported by nobody.
  "src/cli": {
    sees: ["src", "search", "rewards"],
    packages: ["commander", "yaml", "zod", "p-limit", ANY_NODE],
  },
};

/** Who may import the composition root. */
const ASSEMBLES = ["src", "src/assemble", "src/run", "src/studio", "src/cli"];

/** Only these files may import these packages, whatever their zone allows. */
const ONLY_IN: Readonly<Record<string, (file: string) => boolean>> = {
  "ml-kmeans": (file) => file === "search/parts/cluster.ts",
  // Its seeds; only the beginning is our own.
  "ml-random": (file) => file === "search/parts/seed-centres.ts",
  "onnxruntime-node": (file) => file.startsWith("src/inference/runtime/"),
  "@xenova/transformers": (file) => file.startsWith("src/inference/"),
};

const CLOCK_ALLOWED = ["src/cli/", "src/io/", "src/run/", "src/studio/", "src/queue/"];
const CONSOLE_ALLOWED = ["src/cli/"];
const MAX_LINES = 400;

function walk(folder: string): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : walk(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

const files = ["src", "search", "rewards"].flatMap(walk).sort();
const sources = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));
const imports = new Map(
  [...sources].map(([file, text]) => [
    file,
    ts.preProcessFile(text, true, true).importedFiles.map((i) => i.fileName),
  ]),
);

function zoneOf(file: string): string {
  const zones = Object.keys(ZONES).filter((zone) => file.startsWith(`${zone}/`));
  zones.sort((a, b) => b.length - a.length);
  return zones[0] ?? "";
}

function packageOf(specifier: string): string {
  if (specifier.startsWith("node:") || builtinModules.includes(specifier)) {
    return specifier.startsWith("node:") ? specifier : `node:${specifier}`;
  }
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function targetOf(file: string, specifier: string): string {
  return relative(process.cwd(), resolve(dirname(file), specifier));
}

/** Whether seeing one zone means seeing another, which is a part of it. */
function covers(seen: string, target: string): boolean {
  return ["src", "search", "rewards"].includes(seen) && target.startsWith(`${seen}/`);
}

function forbidden(file: string, specifier: string): string | null {
  const zoneName = zoneOf(file);
  const zone = ZONES[zoneName];
  if (!zone) return `${file} belongs to no zone of the table`;
  if (specifier.startsWith(".")) {
    const target = zoneOf(targetOf(file, specifier));
    if (target === "src/cli" && zoneName !== "src/cli")
      return `${file} imports the command line (${specifier})`;
    const seen = target === zoneName || zone.sees.some((other) => target === other || covers(other, target));
    if (target === "src/assemble" && !ASSEMBLES.includes(zoneName))
      return `${file} imports the composition root (${specifier})`;
    return seen ? null : `${file} (${zoneName}) may not import ${target}: ${specifier}`;
  }
  const name = packageOf(specifier);
  const only = ONLY_IN[name];
  if (only) return only(file) ? null : `${file} may not import ${name}`;
  const allowed =
    zone.packages.includes(name) || (name.startsWith("node:") && zone.packages.includes(ANY_NODE));
  return allowed ? null : `${file} (${zoneName}) may not import the package ${name}`;
}

/** Code without comments and string contents, so that words in texts are no violations. */
function codeOf(text: string): string {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, true, ts.LanguageVariant.Standard, text);
  const tokens: string[] = [];
  for (let token = scanner.scan(); token !== ts.SyntaxKind.EndOfFileToken; token = scanner.scan()) {
    tokens.push(token === ts.SyntaxKind.StringLiteral ? '""' : scanner.getTokenText());
  }
  return tokens.join(" ");
}

function matches(pattern: RegExp, allowed: readonly string[]): string[] {
  return files.filter(
    (file) => !allowed.some((prefix) => file.startsWith(prefix)) && pattern.test(codeOf(sources.get(file)!)),
  );
}

describe("architecture", () => {
  it("sees the whole code base", () => {
    expect(files.length).toBeGreaterThan(30);
    expect(files).toContain("src/core/strategy.ts");
  });

  it("keeps the direction of imports", () => {
    const violations = files.flatMap((file) =>
      imports.get(file)!.map((specifier) => forbidden(file, specifier)),
    );
    expect(violations.filter((violation) => violation !== null)).toEqual([]);
  });

  it("imports existing files, with their extension", () => {
    const missing = files.flatMap((file) =>
      imports
        .get(file)!
        .filter((specifier) => specifier.startsWith("."))
        .filter((specifier) => !statSync(targetOf(file, specifier), { throwIfNoEntry: false })?.isFile())
        .map((specifier) => `${file}: ${specifier}`),
    );
    expect(missing).toEqual([]);
  });

  it("has no cycles, types and import() counted", () => {
    const state = new Map<string, "open" | "done">();
    const cycles: string[] = [];
    const visit = (file: string, trail: readonly string[]): void => {
      if (state.get(file) === "open") cycles.push([...trail.slice(trail.indexOf(file)), file].join(" > "));
      if (state.has(file)) return;
      state.set(file, "open");
      for (const specifier of imports.get(file) ?? []) {
        if (specifier.startsWith(".")) visit(targetOf(file, specifier), [...trail, file]);
      }
      state.set(file, "done");
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it("draws randomness from src/core/rng.ts only", () => {
    expect(matches(/\bMath \. random\b|\brandomUUID\b|\brandomInt\b/, [])).toEqual([]);
  });

  it("reads clocks only where time may be seen", () => {
    expect(
      matches(/\bDate \. now\b|\bnew Date \( \)|\bperformance \. now\b|\bhrtime\b/, CLOCK_ALLOWED),
    ).toEqual([]);
  });

  it("waits for no signal that may be collected before it fires", () => {
    expect(matches(/\bAbortSignal \. (any|timeout)\b/, [])).toEqual([]);
  });

  it("prints only from the command line", () => {
    expect(matches(/\bconsole \./, CONSOLE_ALLOWED)).toEqual([]);
  });

  it("loads the inference runtime through the door that silences it", () => {
    const loads = /import\("(onnxruntime-node|@xenova\/transformers)"\)/;
    expect(
      files.filter((file) => loads.test(sources.get(file)!.replace(/typeof import\([^)]*\)/g, ""))),
    ).toEqual(["src/inference/runtime/native.ts"]);
  });

  it("keeps search programs synchronous", () => {
    const inSearch = files.filter((file) => file.startsWith("search/") && file !== "search/index.ts");
    expect(
      inSearch.filter((file) =>
        /\basync\b|\bawait\b|\bPromise\b|\bprocess\b/.test(codeOf(sources.get(file)!)),
      ),
    ).toEqual([]);
  });

  it("keeps files short", () => {
    const long = files.filter((file) => sources.get(file)!.split("\n").length > MAX_LINES);
    expect(long).toEqual([]);
  });

  it("has no loose ends and no paths of somebody's machine", () => {
    const marks = new RegExp(
      ["TO" + "DO", "FIX" + "ME", "X{3}\\b", "not imple" + "mented", "/ro" + "ot/", "/ho" + "me/\\w"].join(
        "|",
      ),
    );
    expect(files.filter((file) => marks.test(sources.get(file)!))).toEqual([]);
  });
});

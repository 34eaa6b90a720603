import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/command-table.ts";

interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
  packages: Record<string, LockEntry>;
};

/** Paths at which Node would look for a package that is required from `from`. */
function candidates(from: string, name: string): string[] {
  const folders = [from];
  for (let at = from; at !== ""; ) {
    const cut = at.lastIndexOf("/node_modules/");
    at = cut < 0 ? "" : at.slice(0, cut);
    folders.push(at);
  }
  return folders.map((folder) => `${folder === "" ? "" : `${folder}/`}node_modules/${name}`);
}

describe("package-lock.json", () => {
  // A registry that lacks packages for other platforms makes npm drop them, and then `npm ci` refuses the file.
  it("lists the optional packages of all platforms, so that npm ci accepts it everywhere", () => {
    const missing = Object.entries(lock.packages).flatMap(([from, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !candidates(from, name).some((path) => lock.packages[path]?.version !== undefined),
      ),
    );
    expect(missing).toEqual([]);
  });

  it("names no registry and one version of the inference runtime", () => {
    expect(Object.values(lock.packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
    const runtimes = Object.keys(lock.packages).filter((path) =>
      path.endsWith("node_modules/onnxruntime-node"),
    );
    expect(runtimes).toEqual(["node_modules/onnxruntime-node"]);
  });
});

describe("documents", () => {
  const documents = [
    "README.md",
    "CONTRIBUTING.md",
    ...readdirSync("docs")
      .filter((name) => name.endsWith(".md"))
      .map((name) => join("docs", name)),
  ];

  it("link to files that exist", () => {
    const broken = documents.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
        .map((match) => join(dirname(file), match[1]!))
        .filter((target) => !existsSync(target))
        .map((target) => `${file}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it("use commands that exist", () => {
    const known = COMMANDS.map(({ name }) => name);
    const used = documents.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/npx tts-var ([a-z-]+)/g)].map(
        (match) => `${file}: ${match[1]}`,
      ),
    );
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((use) => !known.includes(use.split(": ")[1]!))).toEqual([]);
  });
});

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
  const pages = (folder: string): string[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name));
  const tables = readdirSync("results").filter((name) => existsSync(join("results", name, "README.md")));
  const documents = [
    ...["README.md", "CONTRIBUTING.md"],
    ...["docs", "docs/decisions", "results"].flatMap(pages),
    ...tables.map((name) => join("results", name, "README.md")),
  ];
  const linked = (file: string): string[] =>
    [...readFileSync(file, "utf8").matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) =>
      join(dirname(file), match[1]!),
    );

  it("link to files that exist", () => {
    const broken = documents.flatMap((file) =>
      linked(file)
        .filter((target) => !existsSync(target))
        .map((target) => `${file}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it("can all be reached from README.md", () => {
    const found = new Set(["README.md"]);
    for (const file of found)
      if (file.endsWith(".md")) for (const target of linked(file)) if (existsSync(target)) found.add(target);
    expect(documents.filter((file) => !found.has(file))).toEqual([]);
  });

  it("show every command, and write nothing into tracked folders", () => {
    const commands = readFileSync("docs/cli.md", "utf8");
    expect(COMMANDS.filter(({ name }) => !commands.includes(`\ntts-var ${name} `))).toEqual([]);
    const written = documents
      .filter((file) => !file.startsWith("results"))
      .flatMap((file) => readFileSync(file, "utf8").match(/(?:tts-var|npx).* (?:--out|-o|--dir) \S+/g) ?? [])
      .filter((line) => / (?:results\/(?!runs)|configs|docs|models|examples|test)\S*$/.test(line));
    expect(written).toEqual([]);
  });

  it("name files of the repository that exist", () => {
    const named = documents.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/`((?:src|test|search|scripts|configs|docs)\/[\w./-]+)`/g)]
        .map((match) => match[1]!)
        .filter((path) => !existsSync(path))
        .map((path) => `${file}: ${path}`),
    );
    expect(named).toEqual([]);
  });

  it("begin with four files to read, each short, the loop among them", () => {
    const section = (file: string, from: string, to: string): string =>
      readFileSync(file, "utf8").split(from)[1]!.split(to)[0]!;
    const files = (text: string): string[] =>
      [...text.matchAll(/`([\w/-]+\.ts)`/g)].map((match) => match[1]!);
    const list = files(section("CONTRIBUTING.md", "To find your way", "Words are fixed"));
    expect(list).toHaveLength(4);
    expect(list).toContain("src/core/drive.ts");
    expect(files(section("README.md", "To read the code", "\n\n"))).toEqual(list);
    const lines = list.map((file) => readFileSync(file, "utf8").split("\n").length);
    expect(lines.filter((count) => count >= 200)).toEqual([]);
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

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { packageVersion } from "../io/package-root.ts";

/** Versions that can change a result, for `run.json`, `doctor` and benchmarks. */
export function versions(): Record<string, string> {
  return {
    "tts-var": packageVersion(),
    node: process.versions.node,
    "onnxruntime-node": installedVersion("onnxruntime-node"),
    platform: `${process.platform}-${process.arch}`,
  };
}

/** Versions of what decides pixels and scores besides the configuration, by name, as `run.json` has them. */
export function modelVersions(
  generator: { readonly name: string; readonly version: string },
  reward: { readonly name: string; readonly version: string },
  features: { readonly name: string; readonly version: string | null } | null,
  others: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    [generator.name]: generator.version,
    [reward.name]: reward.version,
    ...(features?.version == null ? {} : { [features.name]: features.version }),
    ...others,
  };
}

/** Version of an installed package, or "missing". Read from its files: nothing native is loaded. */
export function installedVersion(name: string): string {
  const folder = installedFolder(name);
  if (folder === undefined) return "missing";
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  return version;
}

/** Folder of an installed package as Node finds it from here. */
export function installedFolder(name: string): string | undefined {
  const require = createRequire(import.meta.url);
  for (const root of require.resolve.paths(name) ?? []) {
    const folder = join(root, name);
    try {
      readFileSync(join(folder, "package.json"));
      return folder;
    } catch {
      // Not in this node_modules; Node would look further up, too.
    }
  }
  return undefined;
}

/** Version of a package as another installed package finds it; they must agree where native code is shared. */
export function versionSeenBy(name: string, importer: string): string {
  const folder = installedFolder(importer);
  if (folder === undefined) return "missing";
  for (let at = folder; at !== dirname(at); at = dirname(at)) {
    try {
      const text = readFileSync(join(at, "node_modules", name, "package.json"), "utf8");
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Look one folder further up.
    }
  }
  return "missing";
}

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Listing } from "../core/registry.ts";
import { packageRoot } from "../io/package-root.ts";

/** The presets of `configs/`: name, and the first comment line as summary. */
export function listPresets(): Listing[] {
  const folder = join(packageRoot(), "configs");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .sort()
    .map((name) => {
      const [first = ""] = readFileSync(join(folder, name), "utf8").split("\n");
      return { name: name.slice(0, -".yaml".length), summary: first.replace(/^#\s*/, "") };
    });
}

/** The file that `--config` names: a path as it is, or the preset of that name. */
export function findPreset(nameOrPath: string): string {
  if (existsSync(nameOrPath) || !/^[\w-]+$/.test(nameOrPath)) return nameOrPath;
  const preset = join(packageRoot(), "configs", `${nameOrPath}.yaml`);
  return existsSync(preset) ? preset : nameOrPath;
}

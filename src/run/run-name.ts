import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, outputError } from "../io/atomic.ts";

/** `20261123T191500Z-a-photo-of-two-dogs-1f3a9c2e`: UTC, the prompt in short, the start of the configuration's hash. */
export function runName(now: Date, prompt: string, configHash: string): string {
  const time = `${now.toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
  return `${time}-${promptName(prompt, configHash)}`;
}

/** `a-photo-of-two-dogs-1f3a9c2e`: where a run of a prompt lies among those of others. */
export function promptName(prompt: string, configHash: string): string {
  const slug = prompt
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");
  return [...(slug === "" ? [] : [slug]), configHash.slice(0, 8)].join("-");
}

/** Makes a new folder of that name, or with a number behind it if the name is taken. */
export async function makeNewFolder(parent: string, name: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const path = join(parent, attempt === 1 ? name : `${name}-${attempt}`);
    try {
      makeFolder(parent);
      await mkdir(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw outputError(error, path);
    }
  }
}

/**
 * Prints how many scenes each prompt set that figures were reported on shares with every set that something was chosen on
 * or reported on before.
 *
 *     npx tsx scripts/shared-prompts.ts
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { loadPrompts, readPromptSet } from "../src/eval/geneval/prompt-source.ts";
import { sharedScenes } from "../src/eval/geneval/prompts.ts";
import { parseStudy } from "../src/study/study-config.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const studies = join(root, "configs/studies");

/** Sets by name, largest of each seed; what is tuned on comes first. */
const tunedOn = ["tuning:96", "calibration:96"];
const evaluated = ["first-light:552", "geneval-4:553"];

const reported = new Map<string, Awaited<ReturnType<typeof loadPrompts>>>();
for (const file of readdirSync(studies).sort()) {
  const { prompts } = parseStudy(parse(readFileSync(join(studies, file), "utf8")), file);
  if (prompts.seed === "tuning") continue;
  reported.set(
    `${file.replace(/\.yaml$/, "")} (${prompts.seed}:${prompts.count})`,
    await loadPrompts(String(prompts.count), prompts.seed, prompts.disjointFrom),
  );
}
for (const set of evaluated) reported.set(set, await readPromptSet(set));

const others = [...tunedOn, ...evaluated];
const known = await Promise.all(others.map(readPromptSet));
console.log(`| scenes of | prompts | ${others.map((set) => `in ${set}`).join(" | ")} |`);
console.log(`| --- | --: |${" --: |".repeat(others.length)}`);
for (const [name, prompts] of reported) {
  const shared = known.map((set, index) => (name === others[index] ? "" : sharedScenes(prompts, set).length));
  console.log(`| ${name} | ${prompts.length} | ${shared.join(" | ")} |`);
}

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { canonicalJson } from "../core/canonical-json.ts";
import { TtsVarError } from "../core/errors.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { JsonlWriter, readJsonl } from "../io/jsonl.ts";
import type { StudyConfig } from "./study-config.ts";
import type { StudyArm, StudyCell, StudyParts, StudyStore, TreeRow } from "./study-plan.ts";

/** What rows on disk were made with. Trees all depend on one thing; cells only on their own arm besides. */
interface Stamp {
  readonly trees: string;
  readonly arms: Readonly<Record<string, string>>;
}

/**
 * Rows of an earlier attempt, and files to append to. Arms may be added, removed or changed between attempts: only cells
 * of changed arms are forgotten.
 *
 * @throws EVAL_DATA when the trees were drawn with other prompts, settings or models
 */
export async function openStudyStore(
  dir: string,
  config: StudyConfig,
  parts: StudyParts,
  arms: readonly StudyArm[],
): Promise<StudyStore & Disposable> {
  const rows = join(dir, "rows");
  const stampPath = join(rows, "study.json");
  const [treesPath, cellsPath] = [join(rows, "trees.jsonl"), join(rows, "cells.jsonl")];
  const stamp = stampOf(config, parts, arms);
  const before = existsSync(stampPath) ? (JSON.parse(await readFile(stampPath, "utf8")) as Stamp) : stamp;
  if (before.trees !== stamp.trees) {
    throw new TtsVarError(
      "EVAL_DATA",
      `${rows} holds results of another version of this study (prompts, settings or models have changed); delete it, or name the study anew`,
    );
  }
  const trees = [...(await borrowedTrees(dir, config.treesOf, stamp)), ...(await rowsOf<TreeRow>(treesPath))];
  const known = await rowsOf<StudyCell>(cellsPath);
  const cells = known.filter(({ arm }) => before.arms[arm] === stamp.arms[arm]);
  if (cells.length < known.length)
    await writeFileAtomic(cellsPath, cells.map((cell) => `${JSON.stringify(cell)}\n`).join(""));
  await writeJsonAtomic(stampPath, stamp);
  const [treeWriter, cellWriter] = [new JsonlWriter(treesPath), new JsonlWriter(cellsPath)];
  return {
    trees,
    cells,
    addTree: (row) => treeWriter.write(row),
    addCell: (row) => cellWriter.write(row),
    [Symbol.dispose]() {
      treeWriter[Symbol.dispose]();
      cellWriter[Symbol.dispose]();
    },
  };
}

/**
 * Trees of a study beside this one.
 *
 * @throws EVAL_DATA when that study has not been run, or drew its trees otherwise
 */
async function borrowedTrees(dir: string, from: string | undefined, stamp: Stamp): Promise<TreeRow[]> {
  if (from === undefined) return [];
  const rows = join(dirname(dir), from, "rows");
  const path = join(rows, "study.json");
  if (!existsSync(path))
    throw new TtsVarError("EVAL_DATA", `treesOf: ${rows} is missing; run the study ${from} first`);
  const { trees } = JSON.parse(await readFile(path, "utf8")) as Stamp;
  if (trees !== stamp.trees) {
    throw new TtsVarError(
      "EVAL_DATA",
      `treesOf: the trees of ${from} were drawn with other prompts, settings, rewards or models than this study asks for`,
    );
  }
  return rowsOf<TreeRow>(join(rows, "trees.jsonl"));
}

function stampOf(config: StudyConfig, parts: StudyParts, arms: readonly StudyArm[]): Stamp {
  // Replicates are left out: more of them extend a study.
  const { search, rewards, finalRewards, judge, prompts, seed, tree } = config;
  const versions = [
    parts.generator.traits.version,
    parts.judge.id,
    parts.features?.version,
    ...Object.values(parts.rewards).map(({ version }) => version),
  ];
  // How calibrated a search is decides nothing about trees.
  const { calibration: _, ...drawn } = search;
  const common = { search: drawn, rewards, finalRewards, judge, prompts, seed, tree, versions };
  const decisive = { reliabilities: config.reliabilities, calibration: parts.calibration };
  return {
    trees: hashOf(common),
    arms: Object.fromEntries(
      config.arms.map(({ budgets: _, ...arm }, index) => [
        arm.name,
        // Defaults belong to the arm: another version of a strategy may have others.
        hashOf({ arm, ...identityOf(arms[index]!), decisive }),
      ]),
    ),
  };
}

/** What an arm is besides its lines in the study: a plug-in's code may change under the same name. */
function identityOf({ options, version, features }: StudyArm) {
  return { options, version, features: features?.version };
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

async function rowsOf<Row>(path: string): Promise<Row[]> {
  return existsSync(path) ? (await readJsonl<Row>(path)).rows : [];
}

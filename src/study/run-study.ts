import pLimit from "p-limit";
import { FULL_VIEW } from "../core/generator.ts";
import { planSearch } from "../engine/plan.ts";
import { recordTree } from "./record-tree.ts";
import { liveCell, offlineCell, seedOf } from "./study-cell.ts";
import {
  type Pair,
  pairKey,
  planInputOf,
  proposalOf,
  proposalsOf,
  type StudyCell,
  type StudyParts,
  type StudyPlan,
  type StudyStore,
  type TreeRow,
} from "./study-plan.ts";

export interface StudyRunOptions {
  readonly jobs: number;
  readonly signal: AbortSignal;
  onProgress?(what: string, done: number, of: number): void;
}

/**
 * Draws what is missing, and returns all trees and cells in a fixed order, whatever the order of the work. Every search
 * is priced before anything is drawn.
 */
export async function runStudy(
  plan: StudyPlan,
  parts: StudyParts,
  store: StudyStore,
  options: StudyRunOptions,
): Promise<{ trees: TreeRow[]; cells: StudyCell[] }> {
  for (const arm of plan.arms)
    for (const units of arm.budgets) planSearch(planInputOf(arm, units, parts, plan.reliabilities));
  const pairs = plan.prompts.flatMap((_, prompt) =>
    Array.from({ length: plan.replicates }, (_, replicate) => ({ prompt, replicate })),
  );
  const trees = await allTrees(plan, parts, store, pairs, options);
  const cells = await allCells(plan, parts, store, pairs, trees, options);
  return { trees: [...trees.values()], cells };
}

/** Trees of all pairs and proposals by key, in order. */
async function allTrees(
  plan: StudyPlan,
  parts: StudyParts,
  store: StudyStore,
  pairs: readonly Pair[],
  options: StudyRunOptions,
): Promise<Map<string, TreeRow>> {
  const known = new Map(store.trees.map((row) => [treeKey(row), row]));
  const proposals = proposalsOf(plan, parts);
  const wanted = [...proposals.keys()].flatMap((proposal) => pairs.map((pair) => ({ ...pair, proposal })));
  await inParallel(
    wanted.filter((each) => !known.has(treeKey(each))),
    options,
    "trees",
    async (each) => {
      const generator = proposals.get(each.proposal)!;
      const row = await drawTree(plan, { ...parts, generator }, each, options.signal);
      store.addTree(row);
      known.set(treeKey(row), row);
    },
  );
  return new Map(wanted.map((each) => [treeKey(each), known.get(treeKey(each))!]));
}

async function drawTree(
  plan: StudyPlan,
  parts: StudyParts,
  where: Pair & { readonly proposal: string },
  signal: AbortSignal,
): Promise<TreeRow> {
  const metadata = plan.prompts[where.prompt]!;
  const { width, previews, scales, features, tokens, copies } = plan.tree;
  const { tree, result } = await recordTree(
    {
      ...parts,
      task: { prompt: metadata.prompt, seed: seedOf(plan, where), metadata: { ...metadata } },
      signal,
    },
    {
      width,
      rewards: Object.keys(parts.rewards).filter((name) => !plan.finalRewards.includes(name)),
      finalRewards: plan.finalRewards,
      previews,
      ...(scales ? { scales } : {}),
      featurePreview: features && parts.features ? (previews[0] ?? FULL_VIEW) : false,
      tokens,
      copies,
    },
  );
  const judged = await parts.judge.judge(result.candidates.map(({ image }) => ({ image, item: metadata })));
  return { ...where, tag: metadata.tag, tree, correct: judged.map(({ correct }) => correct) };
}

/** Cells of all arms, budgets and pairs: decided on trees where that is exact, run live otherwise. */
async function allCells(
  plan: StudyPlan,
  parts: StudyParts,
  store: StudyStore,
  pairs: readonly Pair[],
  trees: ReadonlyMap<string, TreeRow>,
  options: StudyRunOptions,
): Promise<StudyCell[]> {
  const known = new Map(store.cells.map((cell) => [cellKey(cell), cell]));
  const wanted = plan.arms.flatMap((arm) => {
    const proposal = proposalOf(arm, parts);
    return arm.budgets.flatMap((units) =>
      pairs.map((pair) => ({
        input: { plan, parts, arm, units },
        pair,
        row: arm.live ? null : trees.get(treeKey({ ...pair, proposal }))!,
        key: cellKey({ ...pair, arm: arm.name, units }),
      })),
    );
  });
  const live: typeof wanted = [];
  for (const each of wanted) {
    if (known.has(each.key)) continue;
    const decided = each.row && offlineCell(each.input, each.row);
    if (decided) known.set(each.key, decided);
    else live.push(each);
  }
  await inParallel(live, options, "searches", async ({ input, pair, key }) => {
    const cell = await liveCell(input, pair, options.signal);
    store.addCell(cell);
    known.set(key, cell);
  });
  return wanted.map(({ key }) => known.get(key)!);
}

async function inParallel<Item>(
  items: readonly Item[],
  { jobs, signal, onProgress }: StudyRunOptions,
  what: string,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const limit = pLimit(jobs);
  let done = 0;
  const one = async (item: Item): Promise<void> => {
    signal.throwIfAborted();
    await work(item);
    onProgress?.(what, ++done, items.length);
  };
  await Promise.all(items.map((item) => limit(one, item)));
}

function treeKey(row: Pair & { readonly proposal: string }): string {
  return `${row.proposal}:${pairKey(row)}`;
}

function cellKey(cell: Pair & { readonly arm: string; readonly units: number }): string {
  return `${cell.arm}@${cell.units}/${pairKey(cell)}`;
}

import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../../src/io/package-root.ts";
import { Collected, order, roundsOf } from "./samples.ts";

const PROMPT = "a photo of a blue dog and a red umbrella";

/** Both sides have to do the same, whatever their defaults are. */
const STRATEGY = ["--strategy", "tts-var"];

/** Command lines by what they measure; `out` is a folder that is free. */
const COMMANDS: Readonly<Record<string, (out: string) => readonly string[]>> = {
  version: () => ["--version"],
  help: () => ["--help"],
  "search, budget 8, cold": (out) => [
    "search",
    "-p",
    PROMPT,
    ...STRATEGY,
    "--budget",
    "8",
    "--quiet",
    "--out",
    out,
  ],
  "search, budget 64, cold": (out) => [
    "search",
    "-p",
    PROMPT,
    ...STRATEGY,
    "--budget",
    "64",
    "--quiet",
    "--out",
    out,
  ],
};
const WARM_PROMPTS = 6;
const WARM = `search, budget 8, warm (of ${WARM_PROMPTS} prompts)`;

/** Milliseconds: of the clock, and of all processors together. */
interface Taken {
  readonly wall: number;
  readonly cpu: number;
  /** Between the first and the last line of stdout. */
  readonly lines: number;
}

/**
 * Ratios of this checkout to another commit of it, in one run: both sides take turns, and a round's ratio is between
 * neighbours. The other side is a checkout in a temporary folder with this one's `node_modules`.
 */
export async function benchAgainstCommit(commit: string, rounds: number, only: RegExp): Promise<unknown> {
  const dir = await mkdtemp(join(tmpdir(), "tts-var-bench-"));
  const there = join(dir, "checkout");
  const git = (...argv: string[]): string =>
    execFileSync("git", argv, { cwd: packageRoot(), encoding: "utf8" });
  const hash = git("rev-parse", "--short", `${commit}^{commit}`).trim();
  git("worktree", "add", "--quiet", "--detach", there, hash);
  try {
    await symlink(join(packageRoot(), "node_modules"), join(there, "node_modules"));
    const sides = { here: packageRoot(), there };
    const prompts = join(dir, "prompts.txt");
    const named = Array.from({ length: WARM_PROMPTS }, (_, index) => `a photo of ${index + 2} cups`);
    await writeFile(prompts, `${named.join("\n")}\n`);
    const [wall, cpu] = [new Collected(), new Collected()];
    const names = [...Object.keys(COMMANDS), WARM].filter((name) => only.test(name));
    for (const round of roundsOf(rounds)) {
      for (const name of names) {
        for (const [side, root] of order(Object.entries(sides), round)) {
          const out = join(dir, "out");
          const argv = COMMANDS[name]?.(out) ?? [
            "search",
            "--prompts",
            prompts,
            ...STRATEGY,
            "--budget",
            "8",
            "--quiet",
            "--json",
            "--out",
            out,
          ];
          const taken = await time(root, argv);
          await rm(out, { recursive: true, force: true });
          // The first round compiles what is not compiled yet.
          if (round < 0) continue;
          wall.add(`${name}: ${side}`, name === WARM ? taken.lines / (WARM_PROMPTS - 1) : taken.wall);
          cpu.add(`${name}: ${side}`, taken.cpu);
        }
      }
    }
    const ratios = names.map((name) => {
      const [here, other] = [`${name}: here`, `${name}: there`];
      return { name, wall: wall.ratio(here, other), processor: cpu.ratio(here, other) };
    });
    const text = [
      `| | here, ms | ${hash}, ms | ratio of the clock | ratio of processor time |`,
      "|---|--:|--:|--:|--:|",
    ];
    const summaries = wall.summaries();
    for (const { name, wall: ratio, processor } of ratios) {
      const cells = [
        summaries[`${name}: here`]!.median,
        summaries[`${name}: there`]!.median,
        ratio,
        processor,
      ];
      text.push(`| ${name} | ${cells.join(" | ")} |`);
    }
    console.error(text.join("\n"));
    return {
      against: hash,
      rounds: wall.of(`${names[0]}: here`).length,
      ratios,
      wallMs: summaries,
      processorMs: cpu.summaries(),
    };
  } finally {
    git("worktree", "remove", "--force", there);
    await rm(dir, { recursive: true, force: true });
  }
}

/** bash tells the processor time of the whole process tree, which Node does not know. */
function time(root: string, argv: readonly string[]): Promise<Taken> {
  const program = `TIMEFORMAT='%U %S'; time "$@" 2>/dev/null`;
  const command = ["-c", program, "bash", process.execPath, join(root, "bin", "tts-var.mjs"), ...argv];
  return new Promise((resolve, reject) => {
    const start = performance.now();
    // Ctrl-C is for this program, which finishes the round.
    const child = spawn("bash", command, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    const at: number[] = [];
    let told = "";
    child.stdout.on("data", () => at.push(performance.now()));
    child.stderr.on("data", (data) => {
      told += String(data);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== 0) return reject(new Error(`${argv.join(" ")} in ${root} ended with ${code}`));
      const [user, system] = told.trim().split(/\s+/).slice(-2).map(Number) as [number, number];
      const wall = performance.now() - start;
      resolve({ wall, cpu: 1000 * (user + system), lines: at.length > 1 ? at.at(-1)! - at[0]! : 0 });
    });
  });
}

import { existsSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import { outputError, probeWritable, writeFileAtomic } from "./atomic.ts";
import { type Claim, claimFile, claimFolder } from "./claim.ts";
import { outputTarget } from "./output-target.ts";

/** How a command writes its results, whatever it makes. */
export interface OutputOptions {
  /** For messages: `geneval judge`. */
  readonly command: string;
  /** Replace what others have written (`--force`). */
  readonly force: boolean;
}

export interface FolderRules {
  /** Whether this program began to fill the folder; then everything that it would write there is its own. */
  readonly isOurs: boolean;
  /** What stands where this program would write, relative to the folder. */
  readonly inTheWay: readonly string[];
  /** Files that would be continued or taken for our own; with `--force` they go first. */
  readonly continued: readonly string[];
}

export interface FileRules {
  /** The flag that names the file, for messages. */
  readonly flag?: string;
  /** Whether this program wrote the text. Equal or empty files may always be replaced. */
  isOurs(text: string): boolean;
  /** Files that the command reads; none of them may be written, even with `--force`. */
  readonly inputs?: readonly string[];
}

/** A file that this command may write, and nobody else until it is disposed of. */
export interface OutputFile extends Disposable {
  /** False for devices, pipes and descriptors: nothing can be read back or kept beside it. */
  readonly plain: boolean;
  write(data: string): Promise<void>;
}

/**
 * Claims a folder for one run, once it is clear that nothing of others would be replaced.
 *
 * @throws OUTPUT_UNWRITABLE naming what stands in the way, or who writes there
 */
export function openOutputFolder(
  dir: string,
  { command, force }: OutputOptions,
  rulesOf: (dir: string) => FolderRules,
): Claim {
  if (dir === "") throw new TtsVarError("USAGE", '--out "": must name a folder');
  const claim = claimFolder(dir, command);
  try {
    const { isOurs, inTheWay, continued } = rulesOf(dir);
    if (isOurs) return claim;
    if (inTheWay.length > 0 && !force) throw foreign(dir, inTheWay);
    for (const name of continued) rmSync(join(dir, name), { force: true });
    return claim;
  } catch (error) {
    claim.release();
    throw outputError(error, dir);
  }
}

/**
 * Claims a file to be written, before the work for it begins.
 *
 * @throws USAGE for an empty name or an input; OUTPUT_UNWRITABLE for another program's file, or one that is in use
 */
export async function openOutputFile(
  path: string,
  { command, force }: OutputOptions,
  { flag = "--out", isOurs, inputs = [] }: FileRules,
): Promise<OutputFile> {
  if (path === "") throw new TtsVarError("USAGE", `${flag} "": must name a file`);
  try {
    const target = outputTarget(path);
    const write = (data: string): Promise<void> => writeFileAtomic(path, data);
    if (target.kind !== "file") return { plain: false, write, [Symbol.dispose]: () => undefined };
    const same = inputs.find((input) => existsSync(input) && realpathSync(input) === target.path);
    if (same !== undefined) {
      throw new TtsVarError(
        "USAGE",
        `${flag} ${path} is what this command reads (${same}); name another file`,
      );
    }
    await probeWritable(dirname(target.path));
    const claim = claimFile(target.path, command);
    try {
      const before = target.mode === null ? "" : readFileSync(target.path, "utf8");
      if (before !== "" && !force && !isOurs(before)) throw foreign(path, []);
    } catch (error) {
      claim.release();
      throw error;
    }
    return { plain: true, write, [Symbol.dispose]: () => claim.release() };
  } catch (error) {
    throw outputError(error, path);
  }
}

function foreign(path: string, names: readonly string[]): TtsVarError {
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  const problem =
    names.length === 0
      ? "exists, and this command did not write it"
      : `holds ${names.slice(0, 3).join(", ")}${more}, and no run of tts-var is known to have written that`;
  return new TtsVarError(
    "OUTPUT_UNWRITABLE",
    `${path} ${problem}; choose another place, or replace it with --force`,
    { details: { path, names: [...names] } },
  );
}

/** Parsed JSON; undefined if it is none. */
export function parsedOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

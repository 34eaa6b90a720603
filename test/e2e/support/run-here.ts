import { vi } from "vitest";
import { runCommandLine } from "../../../src/cli/run.ts";

/** Runs a command line in this process, which saves starting one; in a folder, if one is given. */
export async function runHere(
  argv: readonly string[],
  folder = process.cwd(),
): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += text;
      return true;
    }),
  );
  const before = process.cwd();
  process.chdir(folder);
  try {
    return { code: await runCommandLine(argv), ...written };
  } finally {
    process.chdir(before);
    for (const spy of spies) spy.mockRestore();
  }
}

import { vi } from "vitest";
import { runCommandLine } from "../../../src/cli/run.ts";

/** Runs a command line in this process, which saves starting one. */
export async function runHere(
  argv: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += text;
      return true;
    }),
  );
  try {
    return { code: await runCommandLine(argv), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

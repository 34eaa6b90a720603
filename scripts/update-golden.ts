/** Rewrites test/fixtures/traces after a deliberate change of decisions: `npx tsx scripts/update-golden.ts`. */
import { mkdir, writeFile } from "node:fs/promises";
import { goldenDir, goldenInput, goldenNames, goldenPath } from "../test/unit/support/golden.ts";
import { record } from "../test/unit/support/search-run.ts";

async function main(): Promise<void> {
  await mkdir(goldenDir, { recursive: true });
  for (const name of goldenNames) {
    const { text, events } = await record(await goldenInput(name));
    await writeFile(goldenPath(name), text);
    console.error(`${name}: ${events.length} events, ${text.length} bytes`);
  }
}

await main();

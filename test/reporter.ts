import type { Reporter, TestModule } from "vitest/node";

const BROWSER_NOTE =
  "\nTests in a real browser run in .ci/run, which installs Chromium (or: npm run test:browser).\n";

/** Ends a run with the plain line `N passed, N failed` (and `, N skipped` under a filter), which scripts and continuous integration read. */
export default class SummaryLine implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    let passed = 0;
    let failed = 0;
    let skipped = 0;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") passed++;
        else if (state === "skipped") skipped++;
        else failed++;
      }
      if (module.errors().length > 0) failed++;
    }
    if (!modules.some(({ moduleId }) => moduleId.includes("/test/browser/")))
      process.stdout.write(BROWSER_NOTE);
    process.stdout.write(
      `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`,
    );
  }
}

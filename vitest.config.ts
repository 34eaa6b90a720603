import { defineConfig } from "vitest/config";
import { BUILT } from "./test/build.ts";
import LongestFirst from "./test/sequencer.ts";

const shared = { testTimeout: 60_000, maxWorkers: 2, env: { TZ: "UTC", TTS_VAR_COMPILED: BUILT } };

export default defineConfig({
  test: {
    globalSetup: ["test/build.ts"],
    reporters: ["default", "./test/reporter.ts"],
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { ...shared, name: "e2e", include: ["test/e2e/**/*.test.ts"] } },
      // Unit tests share processes, and what they import: loading it again for each file would take as long as the tests.
      { test: { ...shared, name: "unit", include: ["test/unit/**/*.test.ts"], isolate: false } },
    ],
  },
});

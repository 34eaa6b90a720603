import { defineConfig } from "vitest/config";
import { BUILT } from "./test/build.ts";
import LongestFirst from "./test/sequencer.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/build.ts"],
    reporters: ["default", "./test/reporter.ts"],
    testTimeout: 60_000,
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    env: { TZ: "UTC", TTS_VAR_COMPILED: BUILT },
  },
});

import { defineConfig } from "vitest/config";
import { BUILT } from "../build.ts";

// Tests in a real browser, which a bare machine lacks: `.ci/run` installs Debian's Chromium and runs them.
export default defineConfig({
  test: {
    include: ["test/browser/*.browser.ts"],
    globalSetup: ["test/build.ts"],
    reporters: ["default", "./test/reporter.ts"],
    // Chromium decides on its own priorities, and a busy machine lets it wait; nothing here is expected to take a minute.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    env: { TZ: "UTC", TTS_VAR_COMPILED: BUILT },
  },
});

import { defineConfig } from "vitest/config";

// Suites against servers that something else starts and names in the environment; `training/tests/test_serve_program.py` does.
export default defineConfig({
  test: {
    include: ["test/contract/*.contract.ts"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 1,
  },
});

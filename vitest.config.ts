// How the tests run: each file in a process of its own, two at a time; ten minutes a test in the full run.
import { defineConfig } from "vitest/config";

const full = process.env.TIDINGS_TEST_FULL === "1";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: full ? 600_000 : 30_000,
    hookTimeout: full ? 600_000 : 60_000,
    teardownTimeout: 10_000,
    allowOnly: false,
    passWithNoTests: false,
  },
});

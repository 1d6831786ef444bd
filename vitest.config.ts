// How the tests run: each file in a process of its own, two at a time; those that measure time come last, one by one.
import { defineConfig } from "vitest/config";

const full = process.env.TIDINGS_TEST_FULL === "1";
const measuring = "test/faults/**/*.test.ts";

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: full ? 600_000 : 30_000,
    hookTimeout: full ? 600_000 : 60_000,
    teardownTimeout: 10_000,
    allowOnly: false,
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: [measuring],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "alone", include: [measuring], maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});

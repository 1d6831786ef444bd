// How the tests run: each file in a process of its own, some at a time; those that measure time come last, one by one.
import { defineConfig } from "vitest/config";

const full = process.env.TIDINGS_TEST_FULL === "1";
/** What holds times, rates or memory against bounds wants the machine for itself. */
const measuring = [
  "agent-neighbours",
  // At full size its agents want the machine; else they wait most of the time.
  ...(full ? ["agents"] : []),
  "disk-full",
  "drain",
  "flood",
  "group",
  "hostile",
  "lease-race",
  "lease-read",
  "lease-storm",
  "politeness",
  "restart",
  "slow-reader",
  "webhooks",
].map((name) => `test/faults/${name}.test.ts`);

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
          exclude: measuring,
          // Much of their time they wait: for the disk, and for what is due.
          maxWorkers: full ? 2 : 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "alone", include: measuring, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});

// A vitest reporter that counts.
// In: the end of a test run. Out: a Tally as JSON in the file that TIDINGS_TEST_TALLY names. Never: a word on the screen.
import { writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestModule } from "vitest/node";
import type { Tally } from "./tally.ts";

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    // An error outside every test counts as a failed one: somebody's assertion came too late to be heard.
    const tally: Tally = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      tally.failed += module.errors().length;
      for (const suite of module.children.allSuites()) tally.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        tally[state === "pending" ? "failed" : state] += 1;
      }
    }
    const file = process.env.TIDINGS_TEST_TALLY;
    if (file !== undefined) writeFileSync(file, JSON.stringify(tally));
  }
}

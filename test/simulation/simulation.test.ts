// Days of brokers, clients and watchers in seconds, by seed, over a log that fails, doubles and stalls: P2, P4, P7, P8.
import { expect, it } from "vitest";
import { seedsOfRun } from "./random.ts";
import { simulate } from "./simulation.ts";

const full = process.env.TIDINGS_TEST_FULL === "1";

for (const seed of seedsOfRun(3, 5)) {
  it(`keeps its promises by seed ${seed}`, async () => {
    console.info(`TIDINGS_TEST_SEED=${seed}`);
    const report = await simulate(seed, full ? 10_000 : 2_000);
    console.info(JSON.stringify(report));
    expect(report.effects).toBeGreaterThan(report.commands / 10);
    expect(report.ends).toBeGreaterThan(report.commands / 50);
    expect(Math.min(report.unknown, report.restarts)).toBeGreaterThan(0);
  });
}

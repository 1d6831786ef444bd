// Leases that end together are ended by what was sent ahead: none early, each once, and a renewal that gets in first holds.
import { describe, expect, test } from "vitest";
import { at, aWorld, type Heard, type Person, stages } from "../conversations/world.ts";

const crowd = 500;
const seconds = 2;
/** After what ends them was sent, and before it is said to hold. */
const renewedBeforeMs = 250;
const lateMsMax = 1_500;
const [online, offline] = [{ status: "online" }, { status: "offline" }];
const names = Array.from({ length: crowd }, (_, index) => `c.${index}`);

describe.each(stages)("leases that end together on the %s log", (stage) => {
  const world = aWorld(stage);

  test("end in time, each once", async () => {
    const { bob, untilMs } = await leased();
    requireEnds(await bob.hearsMany(crowd), names, untilMs);
    await bob.hearsNothing();
  });

  test("end one by one where one of them was renewed, which holds", async () => {
    const { alice, bob, untilMs } = await leased();
    const [kept = "", ...others] = names;
    const { lease } = await alice.gets(alice, kept);
    await at(untilMs - renewedBeforeMs);
    await alice.renews(lease?.id as string, 60);
    requireEnds(await bob.hearsMany(crowd - 1), others, untilMs);
    expect(await bob.sees(alice, kept)).toEqual(online);
    await bob.hearsNothing();
  });

  /** A crowd of leases of alice's, all until then, which bob watches. */
  async function leased(): Promise<{ alice: Person; bob: Person; untilMs: number }> {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const lease = { seconds, default: offline };
    const { properties } = await alice.patches({
      set: Object.fromEntries(names.map((name) => [name, { value: online, lease }])),
    });
    const [untilMs = 0, ...later] = new Set(names.map((name) => Date.parse(properties[name].lease.until)));
    expect(later).toEqual([]);
    await bob.watches(alice, "c.*");
    return { alice, bob, untilMs };
  }
});

function requireEnds(heard: readonly Heard[], expected: readonly string[], untilMs: number): void {
  expect(heard.map(({ event }) => event.data.name).sort()).toEqual([...expected].sort());
  for (const { event, atMs } of heard) {
    expect(event.data).toMatchObject({ value: offline, reason: "expired" });
    const lateMs = performance.timeOrigin + atMs - untilMs;
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(lateMsMax);
  }
}

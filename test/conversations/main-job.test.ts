// The main job, on the real program: a leased property is set, watched live, and ends at its deadline, once.
import { describe, expect, test } from "vitest";
import { aWorld, type Data } from "./world.ts";

const world = aWorld("process");
const oslo = { city: "Oslo" };
const home = { city: "Bergen" };

describe("a leased property on the real program", () => {
  test("is heard with the revision that the PUT answered, and ends in its default, once", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { snapshot } = await bob.watches(alice, "travel");
    expect(snapshot).toEqual([]);

    const sentMs = performance.now();
    const set = await alice.sets("travel", oslo, { lease: { seconds: 1.5, default: home } });
    const ackedMs = performance.now();
    const changed = await bob.hears("property.changed", {
      node: alice.address,
      name: "travel",
      value: oslo,
      revision: set.revision,
      by: alice.address,
      reason: "set",
      lease: { seconds: 1.5, default: home, id: set.lease?.id, until: set.lease?.until },
    });
    expect(changed.event).toMatchObject({
      specversion: "1.0",
      source: `/nodes/${alice.address}`,
      subject: "travel",
      time: set.updated,
    });

    const expired = await bob.hears("property.changed", { value: home, reason: "expired" });
    expect(expired.event.data.lease).toBeUndefined();
    expect(expired.event.data.revision).toBeGreaterThan(set.revision);
    // From the latest that it can have begun, and from the earliest.
    expect(expired.atMs - sentMs).toBeGreaterThanOrEqual(1500);
    expect(expired.atMs - ackedMs).toBeLessThanOrEqual(2000);

    const after = await bob.gets(alice, "travel");
    expect(after).toMatchObject({ value: home, revision: expired.event.data.revision });
    expect(after.lease).toBeUndefined();
    await bob.hearsNothing();
  });

  test("without a default is removed, once", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "travel");
    const sentMs = performance.now();
    const { revision } = await alice.sets("travel", oslo, { lease: { seconds: 1.5 } });
    const ackedMs = performance.now();
    await bob.hears("property.changed", { value: oslo, revision, reason: "set" });
    const removed = await bob.hears("property.removed", {
      node: alice.address,
      name: "travel",
      reason: "expired",
    });
    expect(removed.event.data.revision).toBeGreaterThan(revision);
    expect(removed.atMs - sentMs).toBeGreaterThanOrEqual(1500);
    expect(removed.atMs - ackedMs).toBeLessThanOrEqual(2000);
    expect(await bob.sees(alice, "travel")).toBeUndefined();
    await bob.hearsNothing();
  });

  // By one way only: a read that ends the lease would hide that the other way does not.
  test.each(["alone", "with its node"])(
    "read %s is never seen after its deadline, and one revision has one value",
    async (way) => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const read = async (): Promise<Data> =>
        way === "alone" ? await bob.gets(alice, "travel") : (await bob.reads(alice)).properties.travel;
      const { lease, revision } = await alice.sets("travel", oslo, { lease: { seconds: 1, default: home } });
      const untilMs = Date.parse(lease?.until as string);
      const values = new Map<number, Set<string>>();
      let leasedReads = 0;
      // The broker's clock and this one are the same machine's: a request sent after the deadline must not see the value.
      for (let restReads = 0; restReads < 50; ) {
        const sentMs = Date.now();
        const seen = await read();
        const known = values.get(seen.revision) ?? new Set();
        values.set(seen.revision, known.add(JSON.stringify(seen.value)));
        if (seen.revision === revision) leasedReads++;
        else restReads++;
        if (sentMs > untilMs) expect(seen).toMatchObject({ value: home });
      }
      expect(leasedReads).toBeGreaterThan(10);
      expect([...values.values()].map((seen) => seen.size)).toEqual([1, 1]);
      expect(values.get(revision)).toEqual(new Set([JSON.stringify(oslo)]));
    },
  );

  test("a lease that ended while the broker was dead ends when it comes back, once", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { live } = await bob.watches(alice, "travel");
    const { revision } = await alice.sets("travel", oslo, { lease: { seconds: 1, default: home } });
    await bob.hears("property.changed", { value: oslo, revision });
    await world.program.kill();
    await world.program.start();
    const { snapshot } = await bob.watches(alice, "travel", { after: live.cursor });
    const heard = [...snapshot];
    while (heard.at(-1)?.event.data.reason !== "expired") heard.push(...(await bob.hearsMany(1)));
    expect(heard.at(-1)?.event.data).toMatchObject({ value: home, reason: "expired" });
    expect(heard.length).toBeLessThanOrEqual(2);
    await bob.hearsNothing();
  });
});

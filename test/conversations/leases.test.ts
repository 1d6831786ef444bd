// Leases as their holders and watchers live with them: renewed, shared, ended early, overwritten, held by several devices.
import { describe, expect, test } from "vitest";
import { at, aWorld, stages, wallMs } from "./world.ts";

const online = { status: "online" };
const busy = { status: "busy" };
const offline = { status: "offline" };
const oslo = { city: "Oslo" };
const home = { city: "Bergen" };

describe.each(stages)("leases on the %s log", (stage) => {
  const world = aWorld(stage);

  test("a lease is answered with its id, its length and its end", async () => {
    const alice = await world.registers("alice");
    const put = await alice.puts("presence", online, {
      lease: { seconds: 1.25, default: offline, id: "my.phone~1" },
    });
    expect(put.status).toBe(201);
    expect(put.body).toEqual({
      node: alice.address,
      name: "presence",
      value: online,
      revision: put.body.revision,
      updated: put.body.updated,
      by: alice.address,
      lease: { id: "my.phone~1", seconds: 1.25, until: put.body.lease.until, default: offline },
    });
    const lastsMs = Date.parse(put.body.lease.until) - Date.parse(put.body.updated);
    expect(lastsMs).toBeGreaterThanOrEqual(1250);
    expect(lastsMs).toBeLessThanOrEqual(1252);
    expect(await alice.gets(alice, "presence")).toEqual(put.body);
    expect((await alice.reads(alice)).properties.presence).toEqual(put.body);
  });

  test("without an id the broker gives each lease its own, without a default it shows none", async () => {
    const alice = await world.registers("alice");
    const one = await alice.sets("presence", online, { lease: { seconds: 60 } });
    const other = await alice.sets("travel", oslo, { lease: { seconds: 60 } });
    expect(one.lease?.id).toMatch(/^[A-Za-z0-9._~-]{1,64}$/);
    expect(one.lease?.id).not.toBe(other.lease?.id);
    expect(one.lease).not.toHaveProperty("default");
  });

  test("a default of null, false, 0 or an empty string is a default", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice);
    for (const [index, value] of [null, false, 0, ""].entries()) {
      const name = `rest-${index}`;
      await alice.sets(name, "leased", { lease: { seconds: 60, default: value, id: name } });
      await bob.hears("property.changed", { name, value: "leased" });
      await alice.ends(name);
      expect(await bob.gets(alice, name)).toMatchObject({ value });
      await bob.hears("property.changed", { name, value, reason: "expired" });
    }
  });

  test("a renewal goes past the deadline and wakes nobody", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const first = await alice.sets("presence", online, { lease: { seconds: 1, default: offline } });
    await bob.watches(alice);
    const id = first.lease?.id as string;
    const renewed = await alice.renews(id, 60);
    expect(renewed).toEqual({
      id,
      until: renewed.until,
      properties: [{ node: alice.address, name: "presence" }],
    });
    expect(Date.parse(renewed.until)).toBeGreaterThan(Date.parse(first.lease?.until as string) + 50_000);
    await bob.hearsNothing();
    const after = await bob.gets(alice, "presence");
    expect(after).toEqual({ ...first, lease: { ...first.lease, seconds: 60, until: renewed.until } });

    // A lease that is set later and ends after the first deadline is the hourglass.
    await alice.sets("travel", oslo, { lease: { seconds: 1.1 } });
    await bob.hears("property.changed", { name: "travel" });
    await bob.hears("property.removed", { name: "travel", reason: "expired" });
    expect(await bob.gets(alice, "presence")).toEqual(after);
    await bob.hearsNothing();
  });

  test("without seconds a renewal lasts as long as the lease did, with seconds as long as they say", async () => {
    const alice = await world.registers("alice");
    const { lease } = await alice.sets("presence", online, { lease: { seconds: 100, default: offline } });
    const id = lease?.id as string;
    const again = await alice.renews(id);
    const agoMs = Date.now() - (Date.parse(again.until) - 100_000);
    expect(agoMs).toBeGreaterThanOrEqual(-5);
    expect(agoMs).toBeLessThan(5_000);
    const shorter = await alice.renews(id, 2.5);
    expect(Date.parse(shorter.until)).toBeLessThan(Date.parse(again.until) - 90_000);
    expect((await alice.gets(alice, "presence")).lease).toEqual({
      id,
      seconds: 2.5,
      until: shorter.until,
      default: offline,
    });
    const bare = await alice.asks("POST", `/v1/leases/${id}/renew`);
    expect(bare.status).toBe(200);
    await expect(alice.renews(id, 0.5)).rejects.toMatchObject({ status: 422, code: "bad-lease" });
    await expect(alice.renews(id, 2_592_001)).rejects.toMatchObject({ status: 422, code: "bad-lease" });
  });

  test("a renewal that shortens a lease is kept to", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { lease } = await alice.sets("presence", online, { lease: { seconds: 600, default: offline } });
    await bob.watches(alice, "presence");
    const { until } = await alice.renews(lease?.id as string, 1);
    const { atMs } = await bob.hears("property.changed", { value: offline, reason: "expired" });
    const heardMs = wallMs(atMs);
    expect(heardMs).toBeGreaterThanOrEqual(Date.parse(until) - 2);
    expect(heardMs).toBeLessThan(Date.parse(until) + 1000);
    await bob.hearsNothing();
  });

  test("one lease holds properties of several nodes, is renewed as one and ended as one", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const bike = `${alice.address}/bike`;
    await alice.creates(bike);
    const lease = { seconds: 60, id: "trip" };
    await alice.sets("presence", busy, { lease: { ...lease, default: offline } });
    await alice.sets("travel", oslo, { lease });
    await alice.sets("presence", busy, { lease, at: bike });
    await alice.sets("activity", { activity: "resting" }, { lease: { seconds: 60, id: "another" } });

    const renewed = await alice.renews("trip", 120);
    expect(renewed.properties.map(({ node, name }) => `${node} ${name}`).sort()).toEqual([
      `${alice.address} presence`,
      `${alice.address} travel`,
      `${bike} presence`,
    ]);
    await bob.watches(alice, undefined, { also: [bike] });
    await alice.ends("trip");
    const heard = await bob.hearsUpToNow();
    expect(
      heard
        .map(({ event }) => `${event.type} ${event.data.node} ${event.data.name} ${event.data.reason}`)
        .sort(),
    ).toEqual([
      `dev.tidings.property.changed ${alice.address} presence expired`,
      `dev.tidings.property.removed ${alice.address} travel expired`,
      `dev.tidings.property.removed ${bike} presence expired`,
    ]);
    expect(await bob.sees(alice, "presence")).toEqual(offline);
    expect(await bob.sees(alice, "travel")).toBeUndefined();
    expect(await bob.sees(bike, "presence")).toBeUndefined();
    expect(await bob.sees(alice, "activity")).toEqual({ activity: "resting" });
    await expect(alice.renews("trip")).rejects.toMatchObject({ status: 404, code: "lease-ended" });
  });

  test("somebody else's lease cannot be renewed or ended, whatever its id", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const set = await alice.sets("presence", online, { lease: { seconds: 60, id: "shared-id" } });
    await expect(bob.renews("shared-id")).rejects.toMatchObject({ status: 404, code: "lease-ended" });
    await bob.asks("DELETE", "/v1/leases/shared-id");
    expect(await bob.gets(alice, "presence")).toEqual(set);
    await bob.sets("presence", busy, { lease: { seconds: 60, id: "shared-id" } });
    expect((await bob.renews("shared-id")).properties).toEqual([{ node: bob.address, name: "presence" }]);
    expect(await bob.gets(alice, "presence")).toEqual(set);
  });

  test("once it ended a lease cannot be renewed", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "presence");
    const { lease } = await alice.sets("presence", online, { lease: { seconds: 1 } });
    await bob.hears("property.changed", { value: online });
    await bob.hears("property.removed", { reason: "expired" });
    await expect(alice.renews(lease?.id as string)).rejects.toMatchObject({
      status: 404,
      code: "lease-ended",
    });
    await expect(alice.renews("never-was")).rejects.toMatchObject({ status: 404, code: "lease-ended" });
    await bob.hearsNothing();
  });

  test("a value set over a lease stays when the lease would have ended", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice);
    const { lease } = await alice.sets("presence", online, { lease: { seconds: 1, default: offline } });
    await bob.hears("property.changed", { value: online });
    const put = await alice.puts("presence", busy);
    expect(put.status).toBe(200);
    expect(put.body).not.toHaveProperty("lease");
    await bob.hears("property.changed", { value: busy, revision: put.body.revision });
    await alice.sets("travel", oslo, { lease: { seconds: 1 } });
    await bob.hears("property.changed", { name: "travel" });
    await bob.hears("property.removed", { name: "travel", reason: "expired" });
    await expect(alice.renews(lease?.id as string)).rejects.toMatchObject({ code: "lease-ended" });
    expect(await bob.gets(alice, "presence")).toEqual(put.body);
    await bob.hearsNothing();
  });

  test("a lease set over a lease ends at its own deadline, in its own default", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "travel");
    await alice.sets("travel", oslo, { lease: { seconds: 1, default: home } });
    await bob.hears("property.changed", { value: oslo });
    const second = await alice.sets(
      "travel",
      { city: "Rome" },
      { lease: { seconds: 1.5, default: { city: "Pisa" } } },
    );
    await bob.hears("property.changed", { value: { city: "Rome" }, revision: second.revision });
    const { atMs } = await bob.hears("property.changed", { value: { city: "Pisa" }, reason: "expired" });
    expect(wallMs(atMs)).toBeGreaterThanOrEqual(Date.parse(second.lease?.until as string) - 2);
    await bob.hearsNothing();
  });

  test("a deleted property does not come back as its default", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo, { lease: { seconds: 1, default: home, id: "away" } });
    await bob.watches(alice);
    await alice.removes("travel");
    await bob.hears("property.removed", { name: "travel", reason: "deleted" });
    await alice.sets("presence", online, { lease: { seconds: 1.1 } });
    await bob.hears("property.changed", { name: "presence" });
    await bob.hears("property.removed", { name: "presence" });
    await bob.hearsNothing();
    expect(await bob.sees(alice, "travel")).toBeUndefined();
  });
});

describe.each([...stages, "lagging"] as const)("renewals at the deadline on the %s log", (stage) => {
  const world = aWorld(stage);

  test("a renewal answered 200 at the last moment wins, one answered 404 lost, never both", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice);
    const names = Array.from({ length: 24 }, (_, index) => `race-${index}`);
    const sets = await Promise.all(
      names.map((name) => alice.sets(name, "leased", { lease: { seconds: 1, default: "rest", id: name } })),
    );
    await bob.hearsMany(names.length);
    const outcomes = await Promise.all(
      sets.map(async ({ lease, name }, index) => {
        // From 12 ms before the deadline to 11 ms after it.
        await at(Date.parse(lease?.until as string) - 12 + index);
        const { status } = await alice.asks("POST", `/v1/leases/${lease?.id}/renew`, {
          body: { seconds: 60 },
        });
        return { name, status };
      }),
    );
    const heard = await bob.hearsUpToNow();
    for (const { name, status } of outcomes) {
      const ends = heard.filter(({ event }) => event.data.name === name);
      const { value } = await bob.gets(alice, name);
      const told = `${name} ${status} ${value} ${ends.map(({ event }) => event.data.reason)}`;
      expect([`${name} 200 leased `, `${name} 404 rest expired`]).toContain(told);
    }
    expect(outcomes.map(({ status }) => status)).toContain(404);
  });
});

describe.each(stages)("views of several devices on the %s log", (stage) => {
  const world = aWorld(stage);

  test("readers see the newest live view, then the one before it, then the default", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "presence");
    await alice.sets("presence", online, {
      view: "phone",
      lease: { seconds: 60, default: offline, id: "phone" },
    });
    await bob.hears("property.changed", { value: online, reason: "set" });
    await alice.sets("presence", busy, {
      view: "laptop",
      lease: { seconds: 1, default: offline, id: "laptop" },
    });
    await bob.hears("property.changed", { value: busy, reason: "set" });
    expect(await bob.sees(alice, "presence")).toEqual(busy);
    const back = await bob.hears("property.changed", { value: online, reason: "expired" });
    expect(await bob.gets(alice, "presence")).toMatchObject({
      value: online,
      revision: back.event.data.revision,
      lease: { id: "phone" },
    });
    await alice.ends("phone");
    await bob.hears("property.changed", { value: offline, reason: "expired" });
    expect(await bob.sees(alice, "presence")).toEqual(offline);
    await bob.hearsNothing();
  });

  test("the end of a view behind a newer one wakes nobody", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice);
    await alice.sets("presence", online, {
      view: "phone",
      lease: { seconds: 1, default: offline, id: "phone" },
    });
    await bob.hears("property.changed", { value: online });
    const second = await alice.sets("presence", busy, {
      view: "laptop",
      lease: { seconds: 60, id: "laptop" },
    });
    await bob.hears("property.changed", { value: busy });
    await alice.sets("travel", oslo, { lease: { seconds: 1 } });
    await bob.hears("property.changed", { name: "travel" });
    await bob.hears("property.removed", { name: "travel" });
    expect(await bob.gets(alice, "presence")).toEqual(second);
    await expect(alice.renews("phone")).rejects.toMatchObject({ code: "lease-ended" });
    await bob.hearsNothing();
    // The phone's default is what remains when the laptop goes as well.
    await alice.ends("laptop");
    await bob.hears("property.changed", { value: offline, reason: "expired" });
  });

  test("one device's view is removed alone", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "presence");
    await alice.sets("presence", online, { view: "phone" });
    await alice.sets("presence", busy, { view: "laptop" });
    await bob.hearsUpToNow();
    await alice.removes("presence", { view: "laptop" });
    await bob.hears("property.changed", { value: online });
    await alice.removes("presence", { view: "laptop" });
    await bob.hearsNothing();
    await alice.removes("presence", { view: "phone" });
    await bob.hears("property.removed", { reason: "deleted" });
    expect(await bob.sees(alice, "presence")).toBeUndefined();
  });

  test("a property holds 32 views and refuses one more, without losing any", async () => {
    const alice = await world.registers("alice");
    for (let view = 1; view <= 32; view++) await alice.sets("presence", online, { view: `device-${view}` });
    const before = await alice.gets(alice, "presence");
    await expect(alice.sets("presence", busy, { view: "device-33" })).rejects.toMatchObject({
      status: 422,
      code: "too-many-views",
    });
    expect(await alice.gets(alice, "presence")).toEqual(before);
    await alice.sets("presence", busy, { view: "device-7" });
    expect(await alice.sees(alice, "presence")).toEqual(busy);
  });
});

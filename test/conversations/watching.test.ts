// Watching: the present first, then every change, from where one left off, and nothing that one may not see.
import { EventSource } from "eventsource";
import { describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import { propertyPath } from "./person.ts";
import { aWorld, type Data, type Heard, isFull, openEventStream, type Person, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const told = (heard: readonly Heard[]): string[] =>
  heard.map(
    ({ event }) => `${event.type.replace("dev.tidings.", "")} ${event.data.name} ${event.data.reason}`,
  );

describe.each([...stages, "lagging"] as const)("joining on the %s log", (stage) => {
  const world = aWorld(stage);

  test("snapshot and stream meet without a hole or a step back while somebody writes", async () => {
    const alice = await world.registers("alice");
    const watchers: Person[] = [];
    for (let count = 0; count < 6; count++) watchers.push(await world.registers("watcher"));
    let written = 0;
    for (let round = 0; round < (isFull ? 1_000 : 20); round++) {
      // Of four writes some come before the watchers join, the others meanwhile.
      const before = round % 5;
      for (let count = 0; count < before; count++) await alice.sets("count", ++written);
      const writing = (async () => {
        for (let count = before; count < 4; count++) await alice.sets("count", ++written);
      })();
      const joined = await Promise.all(watchers.map((one) => one.watches(alice, "count")));
      await writing;
      for (const [index, { snapshot }] of joined.entries()) {
        const heard = [...snapshot, ...((await watchers[index]?.hearsUpToNow()) ?? [])];
        let last: Data | undefined;
        for (const { event } of heard) {
          const { data } = event;
          if (last) {
            expect(data.revision).toBeGreaterThan(last.revision);
            // What was not told was declared.
            expect(data.value - last.value - 1).toBe(data.skipped ?? 0);
          }
          last = data;
        }
        expect(last?.value).toBe(written);
      }
    }
  });
});

describe.each(stages)("watching on the %s log", (stage) => {
  const world = aWorld(stage);

  test("the present comes first, then stream.live, then what happens", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const travel = await alice.sets("travel", oslo);
    const presence = await alice.sets("presence", { status: "online" }, { lease: { seconds: 60 } });
    const { snapshot, live, stream } = await bob.watches(alice);
    expect(stream.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(stream.headers.get("cache-control")).toBe("no-store");
    expect(snapshot.map(({ event }) => event)).toEqual([
      {
        specversion: "1.0",
        id: expect.any(String),
        source: `/nodes/${alice.address}`,
        subject: "travel",
        type: "dev.tidings.property.changed",
        time: travel.updated,
        data: {
          node: alice.address,
          name: "travel",
          value: oslo,
          revision: travel.revision,
          by: alice.address,
          reason: "snapshot",
        },
      },
      expect.objectContaining({
        data: {
          node: alice.address,
          name: "presence",
          value: { status: "online" },
          revision: presence.revision,
          by: alice.address,
          lease: presence.lease,
          reason: "snapshot",
        },
      }),
    ]);
    expect(live.event).toMatchObject({ specversion: "1.0", type: "dev.tidings.stream.live" });
    await alice.sets("travel", rome);
    const { event } = await bob.hears("property.changed", { value: rome, reason: "set" });
    expect(new Set([...snapshot, live].map((heard) => heard.event.id)).has(event.id)).toBe(false);
    await bob.hearsNothing();
  });

  test("names, groups of names, several nodes and acct: select what is watched", async () => {
    const alice = await world.registers("alice");
    const carol = await world.registers("carol");
    const bob = await world.registers("bob");
    const setAll = async (value: number): Promise<void> => {
      for (const who of [alice, carol]) {
        await who.patches({
          set: Object.fromEntries(
            ["count", "count.a", "count.b.c", "counter", "other"].map((name) => [name, { value }]),
          ),
        });
      }
    };
    await setAll(0);
    const names = (heard: readonly Heard[]): string[] =>
      heard.map(({ event }) => `${event.data.node.split("-")[0]} ${event.data.name}`).sort();
    const select = async (target: string, also: string[], expected: string[]): Promise<void> => {
      const colon = target.indexOf(":", target.indexOf("@"));
      const [who, which] =
        colon < 0 ? [target, undefined] : [target.slice(0, colon), target.slice(colon + 1)];
      const { snapshot } = await bob.watches(who, which, { also });
      expect(names(snapshot)).toEqual(expected);
      await setAll(1);
      expect(names(await bob.hearsUpToNow())).toEqual(expected);
    };
    const a = alice.address;
    const c = carol.address;
    await select(`${a}:count`, [], ["alice count"]);
    await select(`${a}:count,other`, [], ["alice count", "alice other"]);
    await select(`${a}:count.*`, [], ["alice count.a", "alice count.b.c"]);
    const every = ["count", "count.a", "count.b.c", "counter", "other"];
    await select(
      `${a}:*`,
      [],
      every.map((name) => `alice ${name}`),
    );
    await select(
      a,
      [],
      every.map((name) => `alice ${name}`),
    );
    await select(`acct:${a}:count`, [`acct:${c}:other`], ["alice count", "carol other"]);
    await select(
      a.toUpperCase(),
      [`${c}:counter`],
      [...every.map((name) => `alice ${name}`), "carol counter"],
    );
    // Twice the same is not heard twice.
    await select(`${a}:count`, [`${a}:count,other`], ["alice count", "alice other"]);
    await select(`${a}:nothing`, [], []);
  });

  test("a reader that comes back hears what it missed, by Last-Event-ID or by ?after=", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { kept: { value: 1 }, changed: { value: 1 }, gone: { value: 1 } } });
    await bob.watches(alice);
    await alice.sets("changed", 2);
    const { cursor } = await bob.hears("property.changed", { name: "changed" });
    await bob.leaves();
    await alice.sets("changed", 3);
    const last = await alice.sets("changed", 4);
    await alice.removes("gone");
    await alice.sets("new", 1);
    for (const terms of [
      { after: cursor },
      { lastEventId: cursor },
      { lastEventId: cursor, after: "memory-1" },
    ]) {
      const { snapshot, live } = await bob.watches(alice, undefined, terms);
      expect(told(snapshot)).toEqual([
        "property.changed changed set",
        "property.removed gone deleted",
        "property.changed new set",
      ]);
      expect(snapshot[0]?.event.data).toMatchObject({ value: 4, revision: last.revision });
      // Nothing is told twice to whoever comes back with the last cursor.
      const again = await bob.watches(alice, undefined, { after: live.cursor });
      expect(again.snapshot).toEqual([]);
      await bob.hearsNothing();
    }
  });

  test("every event's cursor resumes right after it", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice);
    const names = ["one", "two", "three", "four"];
    for (const name of names) await alice.sets(name, name);
    const heard = await bob.hearsMany(4);
    for (const [index, { cursor }] of heard.entries()) {
      const { snapshot } = await bob.watches(alice, undefined, { after: cursor });
      expect(snapshot.map(({ event }) => event.data.name)).toEqual(names.slice(index + 1));
      // A redelivery is the same event.
      expect(snapshot.map(({ event }) => event)).toEqual(heard.slice(index + 1).map(({ event }) => event));
    }
  });

  test("a cursor taken within a snapshot resumes without a hole", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    for (const name of ["one", "two", "three"]) await alice.sets(name, name);
    const { snapshot } = await bob.watches(alice);
    expect(snapshot).toHaveLength(3);
    for (const [index, { cursor }] of snapshot.entries()) {
      const resumed = await bob.watches(alice, undefined, { after: cursor });
      const seen = [...snapshot.slice(0, index + 1), ...resumed.snapshot].map(({ event }) => event.data.name);
      expect(new Set(seen)).toEqual(new Set(["one", "two", "three"]));
    }
  });

  test("a cursor that is malformed or of the future is refused, a foreign one starts afresh and says so", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    const { live } = await bob.watches(alice);
    const [epoch = "", position = "", term = "", hour = ""] = live.cursor.split("-");
    const later = (text: string, by: number): string => (Number.parseInt(text, 36) + by).toString(36);
    for (const cursor of [
      "nonsense",
      "-",
      `${epoch}-`,
      `${epoch}-${position}`,
      `${epoch}-0${position}-${term}-${hour}`,
      `${epoch}-zzzzzzzzzzzz-${term}-${hour}`,
      `${epoch}-${later(position, 100_000)}-${term}-${hour}`,
      `${epoch}-${position}-${term}-${later(hour, 100)}`,
    ]) {
      const refusal = { status: 400, code: "bad-cursor" };
      await expect(bob.watches(alice, undefined, { after: cursor })).rejects.toMatchObject(refusal);
      await expect(bob.watches(alice, undefined, { lastEventId: cursor })).rejects.toMatchObject(refusal);
    }
    // Of another log, of a term that was cut short, of a time from which not every end is remembered.
    for (const cursor of [
      `another${epoch}-${position}-${term}-${hour}`,
      `${epoch}-${position}-another-${hour}`,
      `${epoch}-${position}-${term}-${later(hour, -7 * 24)}`,
    ]) {
      const { snapshot } = await bob.watches(alice, undefined, { after: cursor });
      expect(told(snapshot)).toEqual([
        "stream.reset undefined undefined",
        "property.changed travel snapshot",
      ]);
      // Until the snapshot is through, whoever is cut off gets it again from where it was.
      expect(snapshot.map((heard) => heard.cursor)).toEqual([cursor, cursor]);
    }
    await alice.sets("travel", rome);
    await bob.hears("property.changed", { value: rome });
  });

  test("a watch of somebody who has not registered yet wakes when they do", async () => {
    const bob = await world.registers("bob");
    const { snapshot } = await bob.watches("zoe@localhost", "travel");
    expect(snapshot).toEqual([]);
    const zoe = await world.registers("zoe", { handle: "zoe" });
    await bob.hears("node.registered", { node: "zoe@localhost", kind: "person" });
    const { revision } = await zoe.sets("travel", oslo);
    await bob.hears("property.changed", { node: "zoe@localhost", value: oslo, revision, reason: "set" });
    await bob.hearsNothing();
  });

  test("a change carries the trace of the request that made it, and of no other", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "travel");
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const path = propertyPath(alice.address, "travel");
    const put = async (value: unknown, trace: string): Promise<void> => {
      const lease = { seconds: 1, default: rome };
      await alice.asks("PUT", path, { body: { value, lease }, headers: { traceparent: trace } });
    };
    await put(oslo, traceparent);
    expect((await bob.hears("property.changed", { value: oslo })).event.traceparent).toBe(traceparent);
    expect((await bob.hears("property.changed", { reason: "expired" })).event.traceparent).toBeUndefined();
    await put(oslo, "00-nonsense");
    expect((await bob.hears("property.changed", { value: oslo })).event.traceparent).toBeUndefined();
  });

  test("a stranger sees what is public, and needs to name what to watch", async () => {
    const alice = await world.registers("alice");
    await alice.sets("profile", { name: "Alice" });
    await alice.sets("travel", oslo);
    const { snapshot } = await world.stranger.watches(alice);
    expect(told(snapshot)).toEqual(["property.changed profile snapshot"]);
    await alice.sets("travel", rome);
    await alice.sets("contact", { phone: "+47 22 00 00 00" });
    await alice.sets("profile", { name: "Alice A" });
    await world.stranger.hears("property.changed", { name: "profile", value: { name: "Alice A" } });
    await world.stranger.hearsNothing();
    await world.stranger.leaves();
    await expect(openEventStream(`${world.url}/v1/events`)).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });

  test("what is private reaches its owner only, live, in a snapshot and when resuming", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("contact", { phone: "1" });
    const { snapshot, live } = await bob.watches(alice);
    expect(snapshot).toEqual([]);
    await alice.watches(alice);
    await alice.sets("contact", { phone: "2" });
    await alice.sets("location", { lat: 1, lon: 2 }, { lease: { seconds: 1 } });
    await alice.hears("property.changed", { name: "contact", value: { phone: "2" } });
    await alice.hears("property.changed", { name: "location" });
    await alice.hears("property.removed", { name: "location", reason: "expired" });
    await alice.removes("contact");
    await alice.hears("property.removed", { name: "contact", reason: "deleted" });
    await bob.hearsNothing();
    expect((await bob.watches(alice, undefined, { after: live.cursor })).snapshot).toEqual([]);
    expect((await bob.watches(alice, undefined, { after: `x${live.cursor}` })).snapshot).toHaveLength(1);
  });

  test("a token without watch does not watch, one narrowed to a name sees that name alone", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { travel: { value: oslo }, other: { value: 1 } } });
    const give = async (scopes: string[]) =>
      bob.with((await bob.asks("POST", "/v1/tokens", { body: { scopes } })).body.token);
    const reader = await give(["read"]);
    await expect(reader.watches(alice)).rejects.toMatchObject({ status: 403, code: "scope-missing" });
    const narrow = await give(["watch:travel"]);
    for (const names of ["other", "travel,other", "*", undefined]) {
      const watching = narrow.watches(alice, names, { withoutBell: true });
      await expect(watching).rejects.toMatchObject({ status: 403, code: "scope-missing" });
    }
    const { snapshot } = await narrow.watches(alice, "travel", { withoutBell: true });
    expect(told(snapshot)).toEqual(["property.changed travel snapshot"]);
    // To watch is not to fetch.
    await expect(narrow.gets(alice, "travel")).rejects.toMatchObject({ status: 403, code: "scope-missing" });
    expect(await reader.sees(alice, "travel")).toEqual(oslo);
  });

  test("a property that goes and comes back is told so, and its revisions rise", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice, "travel");
    const first = await alice.sets("travel", oslo);
    await bob.hears("property.changed", { revision: first.revision });
    await alice.removes("travel");
    const removed = await bob.hears("property.removed", {
      node: alice.address,
      name: "travel",
      reason: "deleted",
    });
    expect(removed.event.data.revision).toBeGreaterThan(first.revision);
    expect(Object.keys(removed.event.data).sort()).toEqual(["name", "node", "reason", "revision"]);
    await alice.removes("travel");
    await bob.hearsNothing();
    const put = await alice.puts("travel", oslo);
    expect(put.status).toBe(201);
    expect(put.body.revision).toBeGreaterThan(removed.event.data.revision);
    await bob.hears("property.changed", { revision: put.body.revision });
  });

  test("a child node is watched by its own address, and ends with everything under it", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const bike = `${alice.address}/bike`;
    await expect(alice.creates(`${bike}/bell`)).rejects.toMatchObject({ status: 409, code: "no-parent" });
    await alice.creates(bike);
    await alice.creates(`${bike}/bell`);
    await alice.sets("count", 1, { at: bike });
    const { snapshot } = await bob.watches(alice, undefined, { also: [`${bike}/bell`] });
    expect(snapshot).toEqual([]);
    await alice.sets("count", 2, { at: bike });
    await bob.hearsNothing();
    await alice.sets("count", 3, { at: `${bike}/bell` });
    await bob.hears("property.changed", { node: `${bike}/bell`, value: 3 });
    const gone = await alice.asks("DELETE", `/v1/nodes/${encodeURIComponent(bike)}`);
    expect(gone.status).toBe(204);
    await bob.hears("property.removed", { node: `${bike}/bell`, name: "count", reason: "deleted" });
    await bob.hearsNothing();
    await expect(bob.gets(bike, "count")).rejects.toMatchObject({ code: "not-found" });
    await expect(alice.sets("count", 4, { at: bike })).rejects.toMatchObject({ code: "not-found" });
  });

  test("depth shows child nodes to those who may see something in them", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const bike = `${alice.address}/bike`;
    await alice.creates(bike);
    await alice.creates(`${bike}/bell`);
    await alice.creates(`${alice.address}/diary`);
    await alice.sets("count", 1, { at: `${bike}/bell` });
    await alice.sets("contact", { phone: "1" }, { at: `${alice.address}/diary` });
    const seen = await bob.reads(alice, "?depth=infinity");
    expect(seen.children).toMatchObject([
      {
        address: bike,
        properties: {},
        children: [{ address: `${bike}/bell`, properties: { count: { value: 1 } } }],
      },
    ]);
    const own = await alice.reads(alice, "?depth=1");
    expect(own.children.map((child: Data) => child.address).sort()).toEqual([bike, `${alice.address}/diary`]);
  });

  test("an independent client of Server-Sent Events hears the same", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    const url = `${world.url}/v1/events?watch=${encodeURIComponent(`${alice.address}:travel`)}`;
    const source = new EventSource(url, {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...init?.headers, authorization: `Bearer ${bob.token}` } }),
    });
    const heard: { type: string; id: string; data: Data }[] = [];
    let broken = "";
    for (const type of ["property.changed", "property.removed", "stream.live"]) {
      source.addEventListener(`dev.tidings.${type}`, ({ lastEventId, data }) => {
        heard.push({ type, id: lastEventId, data: JSON.parse(data).data });
      });
    }
    source.addEventListener("error", ({ message }) => {
      broken ||= message ?? "broken";
    });
    const hears = async (count: number): Promise<unknown> =>
      await until(`event ${count}`, () => broken !== "" || heard.length >= count);
    try {
      await hears(2);
      await alice.sets("travel", rome);
      await hears(3);
      await alice.removes("travel");
      await hears(4);
    } finally {
      source.close();
    }
    expect(
      heard.map(({ type, data }) => `${type} ${data.value?.city ?? ""} ${data.reason ?? ""}`.trim()),
    ).toEqual([
      "property.changed Oslo snapshot",
      "stream.live",
      "property.changed Rome set",
      "property.removed  deleted",
    ]);
    for (const { id } of heard) expect(id).not.toBe("");
  });
});

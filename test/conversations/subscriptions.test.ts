// Subscriptions that are kept: what one watches without saying so again, whoever it is and whenever they come.
import { describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import {
  type Answer,
  at,
  aWorld,
  type Data,
  type Heard,
  longStages,
  nodePath,
  type Person,
} from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const notFound = { status: 404, body: { code: "not-found" } };
const path = (id: string): string => `/v1/subscriptions/${id}`;
const told = (heard: readonly Heard[]): string[] =>
  heard.map(({ event }) => `${event.type.replace("dev.tidings.", "")} ${event.data.name ?? ""}`.trim());
const names = (heard: readonly Heard[]): string[] => heard.map(({ event }) => event.data.name).sort();
const nobody = (): string => `nobody-${Math.random().toString(36).slice(2)}`;

describe.each(longStages)("subscriptions on the %s log", (stage) => {
  const world = aWorld(stage);
  const reads = async (who: Person, id: string): Promise<Answer> => await who.asks("GET", path(id));
  const changes = async (who: Person, id: string, body: Data): Promise<Answer> =>
    await who.asks("PATCH", path(id), { body });
  const ends = async (who: Person, id: string): Promise<void> =>
    expect((await who.asks("DELETE", path(id))).status).toBe(204);
  /** The snapshot of a subscription that was made while the stream was open, up to its `stream.live`. */
  const presents = async (who: Person, id: string): Promise<string[]> => {
    const heard = await who.hearsThrough("stream.live");
    expect(heard.at(-1)?.event.data).toEqual({ subscription: id });
    return told(heard.slice(0, -1));
  };

  describe("as resources", () => {
    test("one is kept as it was wished, and reads the same everywhere", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const wish = { properties: ["travel", "profile.*"], depth: "1", filter: "value != null" };
      const body = { target: alice.address, ...wish, reveal: ["contact"], lease: { seconds: 60 } };
      const made = await bob.asks("POST", "/v1/subscriptions", { body });
      expect(made.status).toBe(201);
      expect(made.body).toMatchObject({
        id: expect.any(String),
        subscriber: bob.address,
        target: alice.address,
        ...wish,
        state: "active",
        lease: { seconds: 60, until: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) },
        revealed: ["contact"],
      });
      const leftMs = Date.parse(made.body.lease.until) - Date.now();
      expect(leftMs).toBeGreaterThan(50_000);
      expect(leftMs).toBeLessThanOrEqual(60_001);
      expect(await reads(bob, made.body.id)).toMatchObject({ status: 200, body: made.body });
      const list = await bob.asks("GET", "/v1/subscriptions");
      expect(list.body.subscriptions).toEqual([made.body]);
    });

    test("without wishes it selects everything of the node alone, for good", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const made = await bob.subscribes({ target: `acct:${alice.address.toUpperCase()}` });
      expect(made).toMatchObject({ target: alice.address, properties: ["*"], depth: "0", state: "active" });
      expect(made).not.toHaveProperty("lease");
      expect(made).not.toHaveProperty("filter");
      expect(made).not.toHaveProperty("revealed");
    });

    test("whoever is not there leaves it pending, and pending tells nothing", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const targets = [
        `${nobody()}@localhost`,
        `${alice.address}/nothing`,
        `mailto:${nobody()}@example.com`,
        `${nobody()}@elsewhere.example`,
      ];
      const seen = new Set<string>();
      for (const target of targets) {
        const made = await bob.subscribes({ target, properties: ["travel"] });
        expect(made).toMatchObject({ target, state: "pending" });
        seen.add(JSON.stringify({ ...made, id: "", target: "" }));
      }
      expect(seen.size).toBe(1);
    });

    test("nobody else can read, change or end it", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const eve = await world.registers("eve");
      const { id } = await bob.subscribes({ target: alice.address });
      for (const other of [eve, alice]) {
        expect(await reads(other, id)).toMatchObject(notFound);
        expect(await changes(other, id, { filter: "true" })).toMatchObject(notFound);
        await other.asks("DELETE", path(id));
        expect((await other.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);
      }
      expect((await reads(bob, id)).status).toBe(200);
      // The same bytes as for one that never was.
      expect((await reads(eve, id)).text).toBe((await reads(eve, id.split("").reverse().join(""))).text);
      expect((await world.stranger.asks("GET", path(id))).status).toBe(401);
      expect((await world.stranger.asks("GET", "/v1/subscriptions")).status).toBe(401);
    });

    test("what cannot be granted is refused, and says why", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const target = alice.address;
      const bad: [wish: unknown, status: number, code: string][] = [
        [{}, 400, "bad-request"],
        [[], 400, "bad-request"],
        [{ target, unknown: 1 }, 400, "bad-request"],
        [{ target, lease: { seconds: 5, unknown: 1 } }, 400, "bad-request"],
        [{ target, properties: [] }, 400, "bad-request"],
        [{ target, properties: Array(101).fill("travel") }, 400, "bad-request"],
        [{ target, properties: "travel" }, 400, "bad-request"],
        [{ target, properties: ["Travel"] }, 400, "bad-name"],
        [{ target, properties: [""] }, 400, "bad-name"],
        [{ target, reveal: ["Not A Name"] }, 400, "bad-name"],
        [{ target, depth: "2" }, 400, "bad-request"],
        [{ target, depth: 1 }, 400, "bad-request"],
        [{ target: "nobody" }, 400, "bad-address"],
        [{ target: "" }, 400, "bad-address"],
        [{ target: "mailto:nobody" }, 400, "bad-address"],
        [{ target: "mailto:a@example.com,b@example.com" }, 400, "bad-address"],
        [{ target, filter: "value.n >" }, 422, "bad-filter"],
        [{ target, filter: "unknown == 1" }, 422, "bad-filter"],
        [{ target, filter: `"${"x".repeat(3000)}" == name` }, 422, "bad-filter"],
        [{ target, lease: { seconds: 0.5 } }, 422, "bad-lease"],
        [{ target, lease: { seconds: -1 } }, 422, "bad-lease"],
        [{ target, lease: { seconds: 30 * 24 * 3600 + 1 } }, 422, "bad-lease"],
      ];
      for (const [body, status, code] of bad) {
        const answer = await bob.asks("POST", "/v1/subscriptions", { body });
        expect(answer, JSON.stringify(body).slice(0, 100)).toMatchObject({ status, body: { code } });
      }
      expect((await bob.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);

      const made = await bob.subscribes({ target });
      for (const [body, status, code] of [
        [{}, 400, "bad-request"],
        [{ target }, 400, "bad-request"],
        [{ filter: "value.n >" }, 422, "bad-filter"],
        [{ lease: { seconds: 0 } }, 422, "bad-lease"],
      ] as const) {
        expect(await changes(bob, made.id, body)).toMatchObject({ status, body: { code } });
      }
      expect((await reads(bob, made.id)).body).toEqual(made);
    });

    test("each pattern is one name: a comma makes no further ones", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const body = { target: alice.address, properties: ["travel,presence"] };
      const answer = await bob.asks("POST", "/v1/subscriptions", { body });
      expect(answer).toMatchObject({ status: 400, body: { code: "bad-name" } });
    });

    test("a token reaches as far here as elsewhere", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const give = async (scopes: string[]): Promise<Person> =>
        bob.with((await bob.asks("POST", "/v1/tokens", { body: { scopes } })).body.token);
      const missing = { status: 403, code: "scope-missing" };
      const reader = await give(["read"]);
      const narrow = await give(["watch:travel"]);
      await expect(reader.subscribes({ target: alice.address })).rejects.toMatchObject(missing);
      await expect(narrow.subscribes({ target: alice.address })).rejects.toMatchObject(missing);
      const wish = { target: alice.address, properties: ["other"] };
      await expect(narrow.subscribes(wish)).rejects.toMatchObject(missing);
      const { id } = await narrow.subscribes({ ...wish, properties: ["travel"] });
      const body = { properties: ["other"] };
      expect(await changes(narrow, id, body)).toMatchObject({ status: 403, body: { code: "scope-missing" } });
    });
  });

  describe("on a stream", () => {
    test("all that is kept comes along: the present, then what happens", async () => {
      const alice = await world.registers("alice");
      const carol = await world.registers("carol");
      const bob = await world.registers("bob");
      await alice.sets("travel", oslo);
      await bob.subscribes({ target: alice.address });
      await bob.subscribes({ target: carol.address });
      const { snapshot } = await bob.listens();
      expect(told(snapshot)).toEqual(["property.changed travel"]);
      expect(snapshot[0]?.event.data).toMatchObject({ value: oslo, reason: "snapshot" });
      await carol.sets("travel", rome);
      await bob.hears("property.changed", { node: carol.address, value: rome, reason: "set" });
      await alice.removes("travel");
      await bob.hears("property.removed", { node: alice.address, name: "travel" });
      await bob.hearsNothing();
    });

    test("one that is made while the stream is open brings its snapshot, and says when it is live", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const { revision } = await alice.sets("travel", oslo);
      await bob.listens();
      const { id } = await bob.subscribes({ target: alice.address });
      await bob.hears("property.changed", { value: oslo, revision, reason: "snapshot" });
      await bob.hears("stream.live", { subscription: id });
      await alice.sets("travel", rome);
      await bob.hears("property.changed", { value: rome, reason: "set" });
      await bob.hearsNothing();
    });

    test("one that is made while the stream opens is not lost between them", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      for (let round = 0; round < 15; round++) {
        const name = `count.${round}`;
        const [{ snapshot }] = await Promise.all([
          bob.listens(),
          bob.subscribes({ target: alice.address, properties: [name] }),
          alice.sets(name, round),
        ]);
        if (names(snapshot).includes(name)) continue;
        while ((await bob.hearsThrough("property.changed")).at(-1)?.event.data.name !== name);
      }
    });

    test("one that ends or changes while the stream opens does not keep it from going live", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.sets("travel", oslo);
      for (let round = 0; round < 10; round++) {
        const { id } = await bob.subscribes({ target: alice.address });
        await Promise.all([bob.listens(), changes(bob, id, { filter: "true" })]);
        await Promise.all([bob.listens(), ends(bob, id)]);
        await alice.sets("travel", oslo);
        expect(told(await bob.hearsUpToNow())).not.toContain("property.changed travel");
      }
    });

    test("patterns select", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const all = ["count", "count.a", "count.b.c", "counter", "other"];
      const setAll = async (value: number): Promise<Data> =>
        await alice.patches({ set: Object.fromEntries(all.map((name) => [name, { value }])) });
      await setAll(0);
      const selects = async (properties: string[], expected: string[]): Promise<void> => {
        const { id } = await bob.subscribes({ target: alice.address, properties });
        expect(names((await bob.listens()).snapshot)).toEqual(expected);
        await setAll(1);
        expect(names(await bob.hearsUpToNow())).toEqual(expected);
        await ends(bob, id);
      };
      await selects(["count"], ["count"]);
      await selects(["count.*"], ["count.a", "count.b.c"]);
      await selects(["count", "counter", "nothing"], ["count", "counter"]);
      await selects(["other", "*"], all);
    });

    test("depth reaches child nodes, also those that come later", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const bike = `${alice.address}/bike`;
      const bell = `${bike}/bell`;
      const three = [alice.address, bike, bell];
      for (const node of [bike, bell]) await alice.creates(node);
      const nodes = (heard: readonly Heard[]): string[] => heard.map(({ event }) => event.data.node).sort();
      for (const [depth, reached] of [
        ["0", three.slice(0, 1)],
        ["1", three.slice(0, 2)],
        ["infinity", three],
      ] as const) {
        for (const node of three) await alice.sets("count", 1, { at: node });
        const { id } = await bob.subscribes({ target: alice.address, properties: ["count"], depth });
        expect(nodes((await bob.listens()).snapshot)).toEqual(reached);
        for (const node of three) await alice.sets("count", 2, { at: node });
        expect(nodes(await bob.hearsUpToNow())).toEqual(reached);
        const late = `${alice.address}/late-${depth}`;
        await alice.creates(late);
        await alice.sets("count", 1, { at: late });
        expect(nodes(await bob.hearsUpToNow()).includes(late)).toBe(depth !== "0");
        await alice.asks("DELETE", nodePath(late));
        const gone = (await bob.hearsUpToNow()).map(({ event }) => event.data.node);
        expect(gone.includes(late)).toBe(depth !== "0");
        await ends(bob, id);
      }
      // Seen from the child, what lies above and beside it is out of reach.
      await bob.subscribes({ target: bike, properties: ["count"], depth: "infinity" });
      expect(nodes((await bob.listens()).snapshot)).toEqual([bike, bell]);
      for (const node of three) await alice.sets("count", 3, { at: node });
      expect(nodes(await bob.hearsUpToNow())).toEqual([bike, bell]);
    });

    test("a filter looks at value, previous, name and node", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const bike = `${alice.address}/bike`;
      await alice.creates(bike);
      const counts = async (filter: string, expected: (string | number)[]): Promise<void> => {
        for (const name of ["count", "other"]) await alice.sets(name, { n: 0 });
        await alice.sets("count", { n: 0 }, { at: bike });
        const { id } = await bob.subscribes({ target: alice.address, depth: "1", filter });
        await bob.listens();
        const heard: Heard[] = [];
        for (const n of [5, 3, 4]) {
          await alice.sets("count", { n });
          // Where two values of one property wait together, the latest alone is told.
          heard.push(...(await bob.hearsUpToNow()));
        }
        await alice.sets("other", { n: 7 });
        await alice.sets("count", { n: 8 }, { at: bike });
        heard.push(...(await bob.hearsUpToNow()));
        expect(
          heard.map(({ event }) => event.data.value.n),
          filter,
        ).toEqual(expected);
        await ends(bob, id);
      };
      await counts("value.n > 4", [5, 7, 8]);
      await counts("value.n > previous.n", [5, 4, 7, 8]);
      await counts("previous != null && previous.n > value.n", [3]);
      await counts('name == "other"', [7]);
      await counts(`node == "${bike}"`, [8]);
      await counts("value.missing == 1", []);
      await counts('now > timestamp("2020-01-01T00:00:00Z")', [5, 3, 4, 7, 8]);
    });

    test("a filter counts in the snapshot and after a change of it", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.patches({ set: { one: { value: 1 }, two: { value: 2 } } });
      const { id } = await bob.subscribes({ target: alice.address, filter: "value > 1" });
      expect(names((await bob.listens()).snapshot)).toEqual(["two"]);
      expect((await changes(bob, id, { filter: "value < 2" })).body.filter).toBe("value < 2");
      expect(await presents(bob, id)).toEqual(["property.changed one"]);
      await alice.sets("two", 3);
      await alice.sets("three", 0);
      await bob.hears("property.changed", { name: "three" });
      await bob.hearsNothing();
      const without = await changes(bob, id, { filter: null });
      expect(without.status).toBe(200);
      expect(without.body).not.toHaveProperty("filter");
    });

    test("the caller's own changes come with ?self=true alone", async () => {
      const alice = await world.registers("alice");
      await alice.sets("contact", { phone: "1" });
      expect((await alice.listens()).snapshot).toEqual([]);
      await alice.sets("contact", { phone: "2" });
      await alice.hearsNothing();
      const { snapshot } = await alice.listens({ self: true });
      expect(told(snapshot)).toEqual(["property.changed contact"]);
      await alice.sets("contact", { phone: "3" });
      await alice.hears("property.changed", { node: alice.address, value: { phone: "3" } });
    });

    test("what one token may not watch, its stream does not carry", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.patches({ set: { travel: { value: oslo }, other: { value: 1 } } });
      await bob.sets("contact", { phone: "1" });
      await bob.subscribes({ target: alice.address });
      const give = async (scopes: string[]): Promise<Person> =>
        bob.with((await bob.asks("POST", "/v1/tokens", { body: { scopes } })).body.token);
      /** A refusal is as good as silence. */
      const hears = async (who: Person, terms: { self?: true } = {}): Promise<string[]> => {
        const heard = await who.listens({ ...terms, withoutBell: true }).catch((error: Data) => {
          expect(error).toMatchObject({ status: 403, code: "scope-missing" });
        });
        return heard ? told(heard.snapshot) : [];
      };
      expect(await hears(await give(["read"]))).toEqual([]);
      expect(await hears(await give(["watch:presence"]))).toEqual([]);
      expect(await hears(await give(["watch:presence"]), { self: true })).toEqual([]);
    });

    test("whoever comes back misses nothing of what is kept, and is told of what was made meanwhile", async () => {
      const alice = await world.registers("alice");
      const carol = await world.registers("carol");
      const bob = await world.registers("bob");
      await alice.patches({ set: { kept: { value: 1 }, changed: { value: 1 }, gone: { value: 1 } } });
      await carol.sets("travel", oslo);
      await bob.subscribes({ target: alice.address });
      const { live } = await bob.listens();
      await bob.leaves();
      await bob.subscribes({ target: carol.address });
      await alice.sets("changed", 2);
      await alice.removes("gone");
      for (const terms of [{ after: live.cursor }, { lastEventId: live.cursor }]) {
        const { snapshot } = await bob.listens(terms);
        expect(told(snapshot).toSorted()).toEqual([
          "property.changed changed",
          "property.changed travel",
          "property.removed gone",
        ]);
        const travel = snapshot.find(({ event }) => event.data.name === "travel");
        expect(travel?.event.data).toMatchObject({ node: carol.address, reason: "snapshot" });
      }
      const { live: now } = await bob.listens({ after: live.cursor });
      expect((await bob.listens({ after: now.cursor })).snapshot).toEqual([]);
    });

    test("the cursor of each event on the way resumes without loss, whatever was made on the way", async () => {
      const alice = await world.registers("alice");
      const carol = await world.registers("carol");
      const bob = await world.registers("bob");
      await carol.sets("before", 0);
      await bob.subscribes({ target: alice.address });
      await bob.listens();
      await alice.sets("one", 1);
      const { id } = await bob.subscribes({ target: carol.address });
      const heard = [
        ...(await bob.hearsThrough("property.changed")),
        ...(await bob.hearsThrough("stream.live")),
      ];
      await carol.sets("two", 2);
      await alice.sets("three", 3);
      heard.push(...(await bob.hearsMany(2)));
      expect(told(heard)).toEqual([
        "property.changed one",
        "property.changed before",
        "stream.live",
        "property.changed two",
        "property.changed three",
      ]);
      expect(heard[2]?.event.data).toEqual({ subscription: id });
      for (const [index, { cursor }] of heard.entries()) {
        const { snapshot } = await bob.listens({ after: cursor });
        const known = told(heard.slice(0, index + 1));
        const all = new Set([...known, ...told(snapshot)]);
        for (const one of told(heard)) expect(one === "stream.live" || all.has(one)).toBe(true);
      }
    });

    test("what went while its subscription was changed is not kept from whoever comes back", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.patches({ set: { one: { value: 1 }, two: { value: 2 } } });
      const { id } = await bob.subscribes({ target: alice.address, properties: ["one"] });
      const { live } = await bob.listens();
      await bob.leaves();
      await alice.removes("one");
      await changes(bob, id, { properties: ["one", "two"] });
      const { snapshot } = await bob.listens({ after: live.cursor });
      // Either it is told, or the reader is told to forget what it knew.
      expect(told(snapshot)).toContain("property.changed two");
      const said = told(snapshot).some((one) => ["property.removed one", "stream.reset"].includes(one));
      expect(said, told(snapshot).join(", ")).toBe(true);
    });
  });

  describe("and their ends", () => {
    test("at the end of its lease it ends, is told so once, and is gone", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.listens();
      const made = await bob.subscribes({ target: alice.address, lease: { seconds: 1 } });
      await bob.hears("stream.live", { subscription: made.id });
      const { event } = await bob.hears("subscription.ended");
      const lateMs = Date.now() - Date.parse(made.lease.until);
      expect(event.data).toEqual({ id: made.id, target: alice.address, reason: "expired" });
      expect(lateMs).toBeGreaterThanOrEqual(-5);
      expect(lateMs).toBeLessThan(1_000);
      expect(await reads(bob, made.id)).toMatchObject(notFound);
      expect(await changes(bob, made.id, { lease: { seconds: 60 } })).toMatchObject(notFound);
      expect((await bob.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);
      await alice.sets("travel", oslo);
      await bob.hearsNothing();
    });

    test("PATCH renews it, and wakes nobody", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.sets("travel", oslo);
      const made = await bob.subscribes({ target: alice.address, lease: { seconds: 1.2 } });
      await bob.listens();
      const renewed = await changes(bob, made.id, { lease: { seconds: 60 } });
      expect(renewed).toMatchObject({ status: 200, body: { id: made.id, lease: { seconds: 60 } } });
      await at(Date.parse(made.lease.until) + 300);
      await alice.sets("travel", rome);
      await bob.hears("property.changed", { value: rome });
      expect((await reads(bob, made.id)).body).toEqual(renewed.body);
      await bob.hearsNothing();
    });

    test("DELETE ends it, on every stream of its owner", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const phone = bob.with(bob.token);
      const { id } = await bob.subscribes({ target: alice.address });
      await bob.listens();
      await phone.listens();
      await ends(bob, id);
      for (const one of [bob, phone]) {
        const { event } = await one.hears("subscription.ended", { id, target: alice.address });
        expect(event.data.reason).toEqual(expect.any(String));
      }
      expect(await reads(bob, id)).toMatchObject(notFound);
      await alice.sets("travel", oslo);
      for (const one of [bob, phone]) await one.hearsNothing();
    });

    test("whoever was away when it ended is told on coming back", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const { id } = await bob.subscribes({ target: alice.address });
      const { live } = await bob.listens();
      await bob.leaves();
      await ends(bob, id);
      const { snapshot } = await bob.listens({ after: live.cursor });
      expect(told(snapshot)).toEqual(["subscription.ended"]);
    });

    test("with the account of whom it watches it is pending again, not ended", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.sets("travel", oslo);
      const { id } = await bob.subscribes({ target: alice.address });
      await bob.listens();
      expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
      const heard = told(await bob.hearsMany(2)).toSorted();
      expect(heard).toEqual(["property.removed travel", "subscription.pending"]);
      expect((await reads(bob, id)).body.state).toBe("pending");
      await bob.hearsNothing();
    });

    test("with the account that keeps it it ends for good", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const made = await bob.subscribes({ target: alice.address });
      const { stream } = await bob.listens();
      expect((await bob.asks("DELETE", "/v1/me")).status).toBe(204);
      await stream.ended;
      expect((await reads(bob, made.id)).status).toBe(401);
      expect((await alice.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);
    });
  });

  describe("to somebody who is not there yet", () => {
    test("an address wakes it within a second of its registration", async () => {
      const bob = await world.registers("bob");
      const handle = nobody();
      const target = `${handle}@localhost`;
      const { id } = await bob.subscribes({ target });
      expect((await bob.listens()).snapshot).toEqual([]);
      const zoe = await world.registers(handle, { handle });
      const registeredMs = performance.now();
      const active = await bob.hears("subscription.active", { id, target });
      expect(active.atMs - registeredMs).toBeLessThan(1_000);
      await zoe.sets("travel", oslo);
      const [changed] = (await bob.hearsThrough("property.changed")).slice(-1);
      expect(changed?.event.data).toMatchObject({ node: target, value: oslo });
      expect((await reads(bob, id)).body.state).toBe("active");
      await bob.hearsNothing();
    });

    test("an e-mail address wakes it, and then it shows what is there", async () => {
      const bob = await world.registers("bob");
      const email = `${nobody()}@example.com`;
      const target = `mailto:${email}`;
      const { id } = await bob.subscribes({ target: `mailto:${email.toUpperCase()}` });
      expect((await reads(bob, id)).body).toMatchObject({ target, state: "pending" });
      await bob.listens();
      const zoe = await world.registers("zoe", { email });
      const registeredMs = performance.now();
      const active = await bob.hears("subscription.active", { id, target });
      expect(active.atMs - registeredMs).toBeLessThan(1_000);
      await zoe.sets("travel", oslo);
      const [changed] = (await bob.hearsThrough("property.changed")).slice(-1);
      expect(changed?.event.data).toMatchObject({ node: zoe.address, value: oslo });
      expect((await reads(bob, id)).body).toMatchObject({ target, state: "active" });
      // Whoever comes later sees them at once.
      const carol = await world.registers("carol");
      expect(await carol.subscribes({ target })).toMatchObject({ target, state: "active" });
      expect(names((await carol.listens()).snapshot)).toEqual(["travel"]);
    });

    test("of a registration and a subscription at the same moment neither misses the other", async () => {
      const bob = await world.registers("bob");
      await bob.listens();
      for (let round = 0; round < 10; round++) {
        const email = `${nobody()}@example.com`;
        const handle = nobody();
        const [zoe] = await Promise.all([
          world.registers(handle, { handle, email }),
          bob.subscribes({ target: `mailto:${email}`, properties: ["mail"] }),
          bob.subscribes({ target: `${handle}@localhost`, properties: ["address"] }),
        ]);
        await zoe.patches({ set: { mail: { value: round }, address: { value: round } } });
        const missing = new Set(["mail", "address"]);
        while (missing.size > 0) {
          const [last] = (await bob.hearsThrough("property.changed")).slice(-1);
          if (last?.event.data.node === zoe.address) missing.delete(last.event.data.name);
        }
      }
    });

    test("who registered while the watcher was away is there when it comes back, and is announced", async () => {
      const bob = await world.registers("bob");
      const handle = nobody();
      const email = `${nobody()}@example.com`;
      await bob.subscribes({ target: `${handle}@localhost` });
      await bob.subscribes({ target: `mailto:${email}` });
      const { live } = await bob.listens();
      await bob.leaves();
      const zoe = await world.registers(handle, { handle });
      const yan = await world.registers("yan", { email });
      await zoe.sets("travel", oslo);
      await yan.sets("travel", rome);
      const { snapshot } = await bob.listens({ after: live.cursor });
      const nodes = snapshot.filter(({ event }) => event.data.name === "travel");
      expect(nodes.map(({ event }) => event.data.node).toSorted()).toEqual(
        [zoe.address, yan.address].toSorted(),
      );
      const active = snapshot.filter(({ event }) => event.type === "dev.tidings.subscription.active");
      expect(active.map(({ event }) => event.data.target).toSorted()).toEqual(
        [`${handle}@localhost`, `mailto:${email}`].toSorted(),
      );
    });

    test("a watcher by e-mail address resumes without loss", async () => {
      const bob = await world.registers("bob");
      const email = `${nobody()}@example.com`;
      const zoe = await world.registers("zoe", { email });
      await zoe.patches({ set: { kept: { value: 1 }, gone: { value: 1 } } });
      await bob.subscribes({ target: `mailto:${email}` });
      const { live } = await bob.listens();
      await bob.leaves();
      await zoe.removes("gone");
      const { snapshot } = await bob.listens({ after: live.cursor });
      // Either what went is told, or the reader is told to forget what it knew.
      const said = told(snapshot).some((one) => ["property.removed gone", "stream.reset"].includes(one));
      expect(said, told(snapshot).join(", ")).toBe(true);
    });

    test("an e-mail address that changes hands wakes it again", async () => {
      const bob = await world.registers("bob");
      const email = `${nobody()}@example.com`;
      const { id } = await bob.subscribes({ target: `mailto:${email}` });
      await bob.listens();
      const zoe = await world.registers("zoe", { email });
      await bob.hears("subscription.active", { id });
      await bob.hears("stream.live", { subscription: id });
      await zoe.asks("DELETE", "/v1/me");
      await bob.hears("subscription.pending", { id });
      const yan = await world.registers("yan", { email });
      await bob.hears("subscription.active", { id });
      await yan.sets("travel", oslo);
      const [changed] = (await bob.hearsThrough("property.changed")).slice(-1);
      expect(changed?.event.data).toMatchObject({ node: yan.address });
    });

    test("a child node wakes it whenever it comes", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const bike = `${alice.address}/bike`;
      const { id } = await bob.subscribes({ target: bike, properties: ["count"] });
      await bob.listens();
      for (let round = 0; round < 2; round++) {
        await alice.creates(bike);
        await bob.hears("subscription.active", { id, target: bike });
        await alice.sets("count", round, { at: bike });
        await bob.hearsThrough("property.changed");
        await alice.asks("DELETE", nodePath(bike));
        const gone = await bob.hearsMany(2);
        expect(told(gone).toSorted()).toEqual(["property.removed count", "subscription.pending"]);
        await until("pending", async () => (await reads(bob, id)).body.state === "pending");
      }
    });
  });
});

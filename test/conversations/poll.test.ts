// Long-poll: the same events as on a stream, one answer at a time, and no gap between two of them.
import { get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import { type Answer, aWorld, type Data, longStages, type Person } from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const told = ({ body }: Answer): string[] =>
  body.events.map(({ type, data }: Data) => `${type.replace("dev.tidings.", "")} ${data.name ?? ""}`.trim());

describe.each(longStages)("polls on the %s log", (stage) => {
  const world = aWorld(stage);
  const asks = async (who: Person, query: Data = {}): Promise<Answer> =>
    await who.asks("GET", `/v1/poll?${new URLSearchParams(query)}`);
  const polls = async (who: Person, query: Data = {}): Promise<Answer> => {
    const answer = await asks(who, query);
    expect(answer).toMatchObject({ status: 200, body: { cursor: expect.stringMatching(/./) } });
    return answer;
  };

  test("the first brings the present, the next what changed since", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { kept: { value: 1 }, changed: { value: 1 }, gone: { value: 1 } } });
    await bob.subscribes({ target: alice.address });
    const first = await polls(bob);
    expect(Object.keys(first.body).toSorted()).toEqual(["cursor", "events"]);
    expect(told(first).toSorted()).toEqual(
      ["changed", "gone", "kept"].map((name) => `property.changed ${name}`),
    );
    expect(first.body.events[0]).toMatchObject({
      specversion: "1.0",
      source: `/nodes/${alice.address}`,
      data: { reason: "snapshot" },
    });
    const last = await alice.sets("changed", 2);
    await alice.removes("gone");
    await alice.sets("new", 1);
    const next = await polls(bob, { after: first.body.cursor });
    expect(told(next)).toEqual(["property.changed changed", "property.removed gone", "property.changed new"]);
    expect(next.body.events[0].data).toMatchObject({ value: 2, revision: last.revision, reason: "set" });
    const none = await polls(bob, { after: next.body.cursor });
    expect(none.body.events).toEqual([]);
    // The same question has the same answer.
    expect((await polls(bob, { after: first.body.cursor })).body.events).toEqual(next.body.events);
  });

  test("one that waits returns as soon as something happens", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.subscribes({ target: alice.address });
    const { cursor } = (await polls(bob)).body;
    const polling = polls(bob, { after: cursor, wait: "20" });
    await alice.sets("travel", oslo);
    const setMs = performance.now();
    const answer = await polling;
    expect(performance.now() - setMs).toBeLessThan(1_000);
    expect(told(answer)).toEqual(["property.changed travel"]);
  });

  test("one that waits in vain returns when its time is up, with a cursor", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.subscribes({ target: alice.address, properties: ["travel"] });
    const { cursor } = (await polls(bob)).body;
    const askedMs = performance.now();
    const polling = polls(bob, { after: cursor, wait: "1" });
    await alice.sets("other", 1);
    const none = await polling;
    const tookMs = performance.now() - askedMs;
    expect(none.body.events).toEqual([]);
    expect(tookMs).toBeGreaterThanOrEqual(990);
    expect(tookMs).toBeLessThan(2_000);
    await alice.sets("travel", oslo);
    expect(told(await polls(bob, { after: none.body.cursor }))).toEqual(["property.changed travel"]);
  });

  test("poll after poll nothing is lost and nothing comes twice while somebody writes", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.subscribes({ target: alice.address });
    let { cursor } = (await polls(bob)).body;
    const writing = (async () => {
      for (let count = 1; count <= 200; count++) await alice.sets("count", count);
    })();
    let value = 0;
    let revision = 0;
    while (value < 200) {
      const { body } = await polls(bob, { after: cursor, wait: "5" });
      for (const { data } of body.events) {
        expect(data.revision).toBeGreaterThan(revision);
        expect(data.value).toBeGreaterThan(value);
        ({ revision, value } = data);
      }
      cursor = body.cursor;
    }
    await writing;
    expect((await polls(bob, { after: cursor })).body.events).toEqual([]);
  });

  test("a subscription that was made between two polls brings its snapshot", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    const { cursor } = (await polls(bob)).body;
    await bob.subscribes({ target: alice.address });
    expect(told(await polls(bob, { after: cursor, wait: "5" }))).toEqual(["property.changed travel"]);
  });

  test("a subscription that is made and ended while one waits is told of", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    const { cursor } = (await polls(bob)).body;
    const polling = polls(bob, { after: cursor, wait: "5" });
    const { id } = await bob.subscribes({ target: alice.address });
    const answer = await polling;
    expect(told(answer)).toEqual(["property.changed travel"]);
    const waiting = polls(bob, { after: answer.body.cursor, wait: "5" });
    await bob.asks("DELETE", `/v1/subscriptions/${id}`);
    expect(told(await waiting)).toEqual(["subscription.ended"]);
  });

  test("whatever becomes of subscriptions meanwhile, one answers when its time is up", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { cursor } = (await polls(bob)).body;
    for (let round = 0; round < 10; round++) {
      const { id } = await bob.subscribes({ target: alice.address });
      const askedMs = performance.now();
      const polling = polls(bob, { after: cursor, wait: "0.2" });
      await bob.asks("DELETE", `/v1/subscriptions/${id}`);
      await polling;
      expect(performance.now() - askedMs).toBeLessThan(2_000);
    }
  });

  test("?watch= and ?self= select as on a stream", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { travel: { value: oslo }, other: { value: 1 } } });
    await bob.sets("contact", { phone: "1" });
    const watch = `${alice.address}:travel`;
    const first = await polls(bob, { watch });
    expect(told(first)).toEqual(["property.changed travel"]);
    await alice.sets("travel", rome);
    expect(told(await polls(bob, { watch, after: first.body.cursor }))).toEqual(["property.changed travel"]);
    expect(told(await polls(bob, { self: "true" }))).toEqual(["property.changed contact"]);
    await alice.sets("profile", { name: "Alice" });
    expect(told(await polls(world.stranger, { watch: alice.address }))).toEqual(["property.changed profile"]);
    expect((await asks(world.stranger)).status).toBe(401);
  });

  test("a cursor of a stream goes on here, and one from here on a stream", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.subscribes({ target: alice.address });
    await bob.listens();
    await alice.sets("one", 1);
    const { cursor } = await bob.hears("property.changed", { name: "one" });
    await alice.sets("two", 2);
    const polled = await polls(bob, { after: cursor });
    expect(told(polled)).toEqual(["property.changed two"]);
    const same = await bob.hears("property.changed", { name: "two" });
    expect(polled.body.events[0]).toEqual(same.event);
    await alice.sets("three", 3);
    const { snapshot } = await bob.listens({ after: polled.body.cursor });
    expect(snapshot.map(({ event }) => event.data.name)).toEqual(["three"]);
  });

  test("a cursor that cannot be honoured is refused, or answered afresh and said so", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    await bob.subscribes({ target: alice.address });
    const { cursor } = (await polls(bob)).body;
    const [epoch = "", position = "", ...rest] = cursor.split("-");
    const later = (Number.parseInt(position, 36) + 100_000).toString(36);
    for (const after of ["nonsense", "-", `${epoch}-${position}`, [epoch, later, ...rest].join("-")]) {
      const refused = { status: 400, body: { code: "bad-cursor" } };
      expect(await asks(bob, { after }), after).toMatchObject(refused);
    }
    const afresh = await polls(bob, { after: `x${cursor}` });
    expect(told(afresh)).toEqual(["stream.reset", "property.changed travel"]);
    expect((await polls(bob, { after: afresh.body.cursor })).body.events).toEqual([]);
  });

  test("a wait that is too long, negative or no number is refused", async () => {
    const bob = await world.registers("bob");
    for (const wait of ["61", "60.5", "-1", "soon", "Infinity", "1e9"]) {
      expect(await asks(bob, { wait }), wait).toMatchObject({ status: 400, body: { code: "bad-request" } });
    }
    expect(await asks(bob, { unknown: "1" })).toMatchObject({ status: 400 });
    await polls(bob, { wait: "0" });
    await polls(bob, { wait: "0.1" });
  });

  test("one that waits is answered when its token ends", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.subscribes({ target: alice.address });
    const { id, token } = (await bob.asks("POST", "/v1/tokens", { body: {} })).body;
    const other = bob.with(token);
    const { cursor } = (await polls(other)).body;
    const polling = asks(other, { after: cursor, wait: "20" });
    // It is under way once it has been answered what comes after it.
    await alice.sets("travel", oslo);
    const { body } = await polling;
    const waiting = asks(other, { after: body.cursor, wait: "20" });
    await bob.asks("DELETE", `/v1/tokens/${id}`);
    const revokedMs = performance.now();
    await waiting;
    expect(performance.now() - revokedMs).toBeLessThan(1_000);
    expect((await asks(other, { after: body.cursor })).status).toBe(401);
  });
});

describe("a poll of more than lies in the buffers of two sockets", () => {
  const world = aWorld("memory");

  test("is answered as its reader takes it, and has nothing lost or twice in the next", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const long = "x".repeat(60_000);
    const names = Array.from({ length: 20 }, (_, n) => `long.${n}`);
    for (const name of names) await alice.sets(name, long);
    // Each is a watch of its own, since the names differ, and brings a snapshot of its own.
    const watch = Array.from({ length: 150 }, (_, n) => `watch=${alice.address}:long.*,late,later,n${n}`);
    const query = watch.join("&");
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { authorization: `Bearer ${bob.token}` };
      get(`${world.url}/v1/poll?${query}`, { agent: false, headers }, resolve).on("error", reject);
    });
    await alice.sets("late", 1);
    const { events, cursor } = JSON.parse(await text(answer));
    const heard = events.map(({ data }: Data) => data.name);
    expect(new Set(heard)).toEqual(new Set([...names, "late"]));
    await alice.sets("later", 1);
    const next = await bob.asks("GET", `/v1/poll?${query}&after=${cursor}`);
    expect(new Set(told(next))).toEqual(new Set(["property.changed later"]));
  });

  test("leaves nothing open where it waited behind another on a connection that ended", async () => {
    const bob = await world.registers("bob");
    const open = async (): Promise<number> => {
      const metrics = await (await fetch(`${world.url}/metrics`)).text();
      return Number(/^tidings_sessions (\d+)/m.exec(metrics)?.[1]);
    };
    const before = await open();
    const { port, hostname } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    const one = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${bob.token}\r\n\r\n`;
    socket.write(one("/v1/poll?wait=50") + one("/v1/poll?wait=50") + one("/v1/events"));
    await until("all of them to be open", async () => (await open()) === before + 3);
    socket.destroy();
    await until("none of them to be left", async () => (await open()) === before);
  });
});

// Standing queries: whoever looks for something hears who comes to match and who does no more, by what it may see alone.
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { LogUnavailable } from "../../services/store/log.ts";
import { openSocket } from "./socket.ts";
import { aWorld, type Data, type Heard, longStages, nodePath, type Person } from "./world.ts";

const inOslo = { where: 'prop("travel").city == "Oslo"' };
const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const word = ({ event }: Heard): string =>
  `${event.type.replace("dev.tidings.match.", "")} ${event.data.node.split("@")[0].split("-")[0]}`;

describe.each(longStages)("standing queries on the %s log", (stage) => {
  const world = aWorld(stage);

  async function people<Names extends string>(...all: Names[]): Promise<Record<Names, Person>> {
    const registered = await Promise.all(all.map(async (name) => [name, await world.registers(name)]));
    return Object.fromEntries(registered);
  }

  /** One's own among all worlds' people: a word that nobody else has. */
  let words = 0;
  const aWord = (): string => `word${stage}${++words}`;

  test("whoever comes to match and whoever does no more is told, with what may be seen of it", async () => {
    const { alice, bob } = await people("alice", "bob");
    const made = await bob.subscribes({ query: inOslo });
    expect(made).toMatchObject({ query: inOslo, state: "active", subscriber: bob.address });
    await bob.listens();
    await alice.sets("travel", oslo);
    const { event } = await bob.hears("match.entered", { node: alice.address, subscription: made.id });
    expect(event.data.properties.travel).toMatchObject({ value: oslo, node: alice.address });
    await alice.sets("travel", { ...oslo, until: "2027-01-01T00:00:00.000Z" });
    await alice.sets("travel", rome);
    await bob.hears("match.left", { node: alice.address, subscription: made.id, properties: {} });
    await alice.sets("travel", oslo);
    await bob.hears("match.entered", { node: alice.address });
    await alice.removes("travel");
    await bob.hears("match.left", { node: alice.address });
  });

  test("who matches already is told at once, and again to a stream that knows nothing", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await alice.sets("note", `looking for ${word}`);
    await bob.listens();
    const { id } = await bob.subscribes({ query: { q: word } });
    await bob.hears("match.entered", { node: alice.address, subscription: id });
    const { snapshot } = await bob.listens();
    expect(snapshot.map(({ event }) => event.data.node)).toEqual([alice.address]);
    expect((await bob.asks("GET", "/v1/subscriptions")).body.subscriptions).toMatchObject([{ id }]);
    await bob.asks("DELETE", `/v1/subscriptions/${id}`);
    await bob.hears("subscription.ended", { id });
    await alice.removes("note");
    expect((await bob.listens()).snapshot).toEqual([]);
  });

  test("the end of a lease is a turn as well", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await bob.subscribes({ query: { q: word } });
    await bob.listens();
    await alice.sets("note", word, { lease: { seconds: 1 } });
    await bob.hears("match.entered", { node: alice.address });
    await bob.hears("match.left", { node: alice.address });
  });

  test("whoever was blocked meanwhile is told nothing of what it missed", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await bob.subscribes({ query: { q: word } });
    const { cursor } = (await bob.listens()).live;
    await bob.leaves();
    for (const note of [word, "another", word]) await alice.sets("note", note);
    const { body } = await alice.asks("GET", `/v1/directory?q=${word}`);
    expect(body.nodes).toHaveLength(1);
    await alice.blocks(bob);
    const { snapshot } = await bob.listens({ after: cursor });
    expect(snapshot.map(({ event }) => event.type)).toEqual([]);
    await bob.hearsNothing();
  });

  test("a reader that is told to forget is told afterwards what is found", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await bob.subscribes({ query: { q: word } });
    const { live } = await bob.listens();
    await alice.sets("note", word);
    await bob.hears("match.entered", { node: alice.address });
    const { snapshot } = await bob.listens({ after: `another${live.cursor}` });
    expect(snapshot.map(({ event }) => event.type.replace("dev.tidings.", ""))).toEqual([
      "stream.reset",
      "match.entered",
    ]);
  });

  test("policies and blocks turn it, and what is hidden never does", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await bob.subscribes({ query: { q: word } });
    await alice.grants();
    await alice.sets("note", word);
    await bob.listens();
    await alice.grants({ who: [bob.address], properties: ["note"], allow: ["read", "watch"] });
    await bob.hears("match.entered", { node: alice.address });
    await alice.blocks(bob);
    await bob.hears("match.left", { node: alice.address });
    await alice.sets("note", `${word} again`);
    await alice.unblocks(bob);
    await bob.hears("match.entered", { node: alice.address });
    await alice.grants();
    await bob.hears("match.left", { node: alice.address });
  });

  test("whoever was away hears each turn once, in order", async () => {
    const { alice, bob, carol } = await people("alice", "bob", "carol");
    const mark = aWord();
    const { id } = await bob.subscribes({ query: { q: mark } });
    await bob.listens();
    await alice.sets("note", mark);
    const { cursor } = await bob.hears("match.entered", { node: alice.address });
    await bob.leaves();
    const turns = async (count: number): Promise<void> => {
      // What is found is written aside: another stream tells when it has been.
      const other = bob.with(bob.token);
      for (;;) {
        const told = (await other.listens({ after: cursor })).snapshot;
        await other.leaves();
        if (told.length >= count) return;
        await delay(10);
      }
    };
    await alice.removes("note");
    await turns(1);
    await carol.sets("note", mark);
    await turns(2);
    await alice.sets("note", mark);
    await turns(3);
    const { snapshot } = await bob.listens({ after: cursor });
    expect(snapshot.map(word)).toEqual(["left alice", "entered carol", "entered alice"]);
    expect(new Set(snapshot.map(({ event }) => event.data.subscription))).toEqual(new Set([id]));
  });

  test("who is found hears who found it", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await alice.listens();
    await bob.subscribes({ query: { q: word } });
    await alice.sets("note", word);
    const { event } = await alice.hears("watcher.started", { watcher: bob.address });
    expect(event.data.properties).toEqual(["note"]);
    await alice.removes("note");
    await alice.hears("watcher.ended", { watcher: bob.address });
  });

  test("a token that reads nothing hears of none", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await bob.subscribes({ query: { q: word } });
    const { body } = await bob.asks("POST", "/v1/tokens", { body: { name: "watch", scopes: ["watch"] } });
    const narrow = bob.with(body.token);
    await narrow.listens();
    await bob.listens();
    await alice.sets("note", word);
    await bob.hears("match.entered", { node: alice.address });
    await narrow.hearsNothing();
  });

  test("two brokers tell each turn once", async () => {
    const { alice, bob } = await people("alice", "bob");
    const beside = await world.neighbour();
    const word = aWord();
    await bob.subscribes({ query: { q: word } });
    const there = beside.with(bob.token);
    await there.listens({ withoutBell: true });
    await bob.listens();
    for (let round = 0; round < 5; round++) {
      await alice.sets("note", word);
      for (const one of [bob, there]) await one.hears("match.entered", { node: alice.address });
      await alice.removes("note");
      for (const one of [bob, there]) await one.hears("match.left", { node: alice.address });
    }
    await bob.hearsNothing();
  });

  test.each<[string, Data, number, string]>([
    ["nothing to look for", { query: {} }, 400, "bad-request"],
    ["neither target nor query", {}, 400, "bad-request"],
    ["both", { target: "alice@localhost", query: { q: "x" } }, 400, "bad-request"],
    ["no word", { query: { q: "!!!" } }, 400, "bad-request"],
    ["no expression", { query: { where: "prop(" } }, 422, "bad-filter"],
    ["a filter beside it", { query: { q: "x" }, filter: "true" }, 400, "bad-request"],
    ["properties beside it", { query: { q: "x" }, properties: ["travel"] }, 400, "bad-request"],
  ])("%s is refused", async (_, body, status, code) => {
    const { bob } = await people("bob");
    expect(await bob.asks("POST", "/v1/subscriptions", { body })).toMatchObject({ status, body: { code } });
    expect((await bob.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);
  });

  test("a frame watches somebody, not whoever matches", async () => {
    const { bob } = await people("bob");
    await using socket = await openSocket(world.url, { token: bob.token });
    const { code } = await socket.fails("watch", { target: "directory?q=chess" });
    expect(code).toBe("bad-request");
  });

  test("it lasts as long as its lease, and its owner's node", async () => {
    const { alice, bob } = await people("alice", "bob");
    const word = aWord();
    await alice.sets("note", word);
    await bob.listens();
    const { id } = await bob.subscribes({ query: { q: word }, lease: { seconds: 1.2 } });
    await bob.hears("match.entered", { node: alice.address });
    await bob.hears("subscription.ended", { id, reason: "expired" });
    const { id: next } = await bob.subscribes({ query: { q: word } });
    await bob.hears("match.entered", { node: alice.address, subscription: next });
    expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
    await bob.hears("match.left", { node: alice.address });
    expect((await bob.asks("GET", nodePath(alice.address))).status).toBe(404);
  });
});

describe("standing queries across a restart", () => {
  const world = aWorld("process");

  test("whatever turned while no broker was there to see is told once somebody is", async () => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    const { id } = await bob.subscribes({ query: { q: "zeppelin" } });
    await bob.listens();
    await alice.sets("note", "zeppelin");
    await carol.sets("note", "zeppelin", { lease: { seconds: 1.5 } });
    const entered = await bob.hearsMany(2);
    expect(entered.map(word).sort()).toEqual(["entered alice", "entered carol"]);
    const cursor = entered.at(-1)?.cursor as string;
    await world.program.kill();
    await delay(1_600);
    await world.program.start();
    const { snapshot } = await bob.listens({ after: cursor });
    const [left = await bob.hears("match.left")] = snapshot;
    expect(left.event.data).toEqual({ subscription: id, node: carol.address, properties: {} });
    await alice.removes("note");
    await bob.hears("match.left", { node: alice.address });
    await bob.hearsNothing();
  });
});

describe("standing queries on a store that fails now and then", () => {
  let failing = false;
  const world = aWorld("memory", {
    through: (log) => ({
      ...log,
      async append(facts) {
        if (!failing || !facts.some(({ subject }) => subject.includes(".match.")))
          return await log.append(facts);
        failing = false;
        throw new LogUnavailable("the store does not answer");
      },
    }),
  });

  test("a turn that could not be stored is told a little later", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.subscribes({ query: { q: "zither" } });
    await bob.listens();
    const carol = await world.registers("carol");
    await carol.sets("note", "a zither");
    await bob.hears("match.entered", { node: carol.address });
    // By now everything has been looked at that was there when the query was made.
    await bob.asks("GET", "/v1/directory?q=zither");
    await delay(300);
    failing = true;
    await alice.sets("note", "a zither");
    await bob.hears("match.entered", { node: alice.address });
    expect(failing).toBe(false);
  });
});

// Forwarding: whoever watches a node goes where it has gone, as far as it is let in there; nobody else notices anything.
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import type { Log } from "../../services/store/log.ts";
import { until } from "../store/embedded.ts";
import { sends, waiting as unread } from "./post.ts";
import { openSocket } from "./socket.ts";
import {
  type Answer,
  at,
  aWorld,
  blockPath,
  type Heard,
  longStages,
  nodePath,
  type Person,
  propertyPath,
} from "./world.ts";

type CloudEvent = Heard["event"];

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const bern = { city: "Bern" };
const path = (who: Person): string => `${nodePath(who.address)}/forward`;
const puts = async (who: Person, to: string, until?: string): Promise<Answer> =>
  await who.asks("PUT", path(who), { body: { to, ...(until !== undefined && { until }) } });
const forwards = async (who: Person, to: Person | string, until?: string): Promise<void> => {
  const address = typeof to === "string" ? to : to.address;
  const body = { to: address, ...(until !== undefined && { until }) };
  expect(await puts(who, address, until)).toMatchObject({ status: 200, body });
};
const stays = async (who: Person): Promise<void> =>
  expect((await who.asks("DELETE", path(who))).status).toBe(204);
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();
const everything = { properties: ["*"], allow: ["read", "watch"] };

/** What was heard in a word each: the event, whose node, what. */
function told(heard: readonly { readonly event: CloudEvent }[], names: Record<string, Person>): string[] {
  const nameOf = (address: unknown): string =>
    Object.entries(names).find(([, one]) => one.address === address)?.[0] ?? String(address ?? "");
  return heard.map(({ event: { type, data } }) => {
    const what = data.to === undefined ? (data.value?.city ?? data.name) : nameOf(data.to);
    return [type.replace("dev.tidings.", ""), nameOf(data.node), what].filter(Boolean).join(" ");
  });
}

/** What a reader holds to be there that keeps to what it is told, the bell aside. */
function believed(heard: readonly Heard[]): Record<string, unknown> {
  const known = new Map<string, unknown>();
  for (const { event } of heard) {
    const { node, name, value } = event.data;
    if (event.type.endsWith("stream.reset")) known.clear();
    else if (event.type.endsWith("property.changed")) known.set(`${node} ${name}`, value);
    else if (event.type.endsWith("property.removed")) known.delete(`${node} ${name}`);
  }
  return Object.fromEntries(known);
}

describe.each(longStages)("forwarding on the %s log", (stage) => {
  const world = aWorld(stage);

  /** Alice is in Oslo, bob in Rome, and carol wants to know. */
  async function three(): Promise<Record<"alice" | "bob" | "carol", Person>> {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    await bob.sets("travel", rome);
    return { alice, bob, carol: await world.registers("carol") };
  }

  const toBob = [
    "property.removed alice travel",
    "node.moved alice bob",
    "property.changed bob Rome",
    "stream.live",
  ];
  const toAlice = [
    "property.removed bob travel",
    "node.moved alice alice",
    "property.changed alice Oslo",
    "stream.live",
  ];
  /** All that is told of a move, in order. */
  const hearsMove = async (who: Person, names: Record<string, Person>): Promise<string[]> =>
    told(await who.hearsThrough("stream.live"), names);

  describe("as a resource", () => {
    test("one is set, read, replaced and taken back by its owner", async () => {
      const { alice, bob, carol } = await three();
      expect(await alice.asks("GET", path(alice))).toMatchObject({
        status: 404,
        body: { code: "not-found" },
      });
      await stays(alice);
      await forwards(alice, bob);
      expect((await alice.asks("GET", path(alice))).body).toEqual({ to: bob.address });
      const later = inMs(60_000);
      await forwards(alice, carol, later);
      expect((await alice.asks("GET", path(alice))).body).toEqual({ to: carol.address, until: later });
      const local = await puts(alice, `acct:${bob.address.toUpperCase()}`, "2099-01-01T01:00:00+01:00");
      expect(local.body).toEqual({ to: bob.address, until: "2099-01-01T00:00:00.000Z" });
      await stays(alice);
      expect((await alice.asks("GET", path(alice))).status).toBe(404);
      for (const method of ["GET", "DELETE"]) {
        expect((await bob.asks(method, path(alice))).status).toBe(403);
        expect((await world.stranger.asks(method, path(alice))).status).toBe(401);
      }
      expect((await bob.asks("PUT", path(alice), { body: { to: bob.address } })).status).toBe(403);
      const { token } = (await alice.asks("POST", "/v1/tokens", { body: { scopes: ["read", "write"] } }))
        .body;
      expect((await puts(alice.with(token), bob.address)).body.code).toBe("scope-missing");
    });

    test("what makes no sense is refused, and says why", async () => {
      const { alice, bob } = await three();
      const bad: [body: unknown, status: number, code: string][] = [
        [{}, 400, "bad-request"],
        [{ to: bob.address, unknown: 1 }, 400, "bad-request"],
        [{ to: "nobody" }, 400, "bad-address"],
        [{ to: "bob@elsewhere.example" }, 400, "bad-request"],
        [{ to: bob.address, until: inMs(-1_000) }, 400, "bad-request"],
        [{ to: bob.address, until: "tomorrow" }, 400, "bad-request"],
        [{ to: bob.address, until: null }, 400, "bad-request"],
        [{ to: alice.address }, 409, "forward-loop"],
        [{ to: `${alice.address}/bike` }, 409, "forward-loop"],
      ];
      for (const [body, status, code] of bad) {
        expect(await alice.asks("PUT", path(alice), { body }), JSON.stringify(body)).toMatchObject({
          status,
          body: { code },
        });
      }
      await alice.creates(`${alice.address}/bike`);
      const child = await alice.asks("PUT", `${nodePath(`${alice.address}/bike`)}/forward`, {
        body: { to: bob.address },
      });
      expect(child).toMatchObject({ status: 400, body: { code: "bad-request" } });
      expect(child.body.detail).toContain("own node");
      expect((await alice.asks("GET", path(alice))).status).toBe(404);
    });

    test("nobody is told by it whether somebody is there", async () => {
      const { alice, bob } = await three();
      await bob.blocks(alice);
      const nobody = `nobody-${Math.random().toString(36).slice(2)}@localhost`;
      const [there, absent] = [await puts(alice, bob.address), await puts(alice, nobody)];
      expect(there.status).toBe(absent.status);
      expect(there.text.replace(bob.address, "")).toBe(absent.text.replace(nobody, ""));
    });

    test("it leads neither back nor further than eight times", async () => {
      const people: Person[] = [];
      while (people.length < 11) people.push(await world.registers("hop"));
      const [first, ...rest] = people as [Person, ...Person[]];
      const loop = { status: 409, body: { code: "forward-loop" } };
      for (let hop = rest.length - 2; hop > 0; hop--)
        await forwards(rest[hop - 1] as Person, rest[hop] as Person);
      // Eight hops lead from the first of them to the last but one.
      expect(await puts(first, (rest[0] as Person).address)).toMatchObject(loop);
      expect(await puts(rest[8] as Person, (rest[0] as Person).address)).toMatchObject(loop);
      const carol = await world.registers("carol");
      for (const one of [rest[0], rest[8], rest[9]]) await one?.sets("travel", { city: one.address });
      const seen = async (): Promise<string[]> =>
        (await carol.watches(rest[0] as Person, "travel")).snapshot.map(
          ({ event }) => event.data.value?.city ?? event.data.to,
        );
      expect(await seen()).toEqual([rest[8]?.address, rest[8]?.address]);
      // The chain grows at its other end: from its beginning it leads too far now, from the next on it does not.
      await forwards(rest[8] as Person, rest[9] as Person);
      expect((await carol.hearsThrough("node.moved")).at(-1)?.event.data).toEqual({
        node: rest[0]?.address,
        to: rest[0]?.address,
      });
      expect(await seen()).toEqual([rest[0]?.address]);
      const { snapshot } = await carol.watches(rest[1] as Person, "travel");
      expect(snapshot[0]?.event.data).toEqual({ node: rest[1]?.address, to: rest[9]?.address });
    });
  });

  describe("on a stream", () => {
    test("whoever watches hears of it and goes along, there and back", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await carol.watches(alice, "travel");
      await forwards(alice, bob);
      expect(await hearsMove(carol, all)).toEqual(toBob);
      await alice.sets("travel", bern);
      await carol.hearsNothing();
      await bob.sets("travel", bern);
      await carol.hears("property.changed", { node: bob.address, value: bern, reason: "set" });
      await alice.sets("travel", oslo);
      await stays(alice);
      expect(await hearsMove(carol, all)).toEqual(toAlice);
      await bob.sets("travel", rome);
      await carol.hearsNothing();
      await alice.sets("travel", bern);
      await carol.hears("property.changed", { node: alice.address, value: bern, reason: "set" });
    });

    test("another end of the same forward is told, the same one is not", async () => {
      const { alice, bob, carol } = await three();
      await carol.watches(alice, "travel");
      await forwards(alice, bob);
      await carol.hearsThrough("stream.live");
      const later = inMs(60_000);
      for (let turn = 0; turn < 2; turn++) await forwards(alice, bob, later);
      const { event } = await carol.hears("node.moved");
      expect(event.data).toEqual({ node: alice.address, to: bob.address, until: later });
      await carol.hearsNothing();
    });

    test("whoever comes later is told first where it is, and so is who has no token", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await forwards(alice, bob);
      expect(told((await carol.watches(alice, "travel")).snapshot, all)).toEqual(
        toBob.filter((one) => !/removed|live/.test(one)),
      );
      await alice.sets("for-sale", { city: "none" });
      await bob.sets("for-sale", { city: "some" });
      const { snapshot } = await world.stranger.watches(alice);
      expect(told(snapshot, all)).toEqual(["node.moved alice bob", "property.changed bob some"]);
      await carol.leaves();
    });

    test("one for a time says so, and ends by itself at that time", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await carol.watches(alice, "travel");
      const ends = inMs(1_200);
      await forwards(alice, bob, ends);
      const moved = (await carol.hearsThrough("node.moved")).at(-1);
      expect(moved?.event.data).toEqual({ node: alice.address, to: bob.address, until: ends });
      await carol.hearsThrough("stream.live");
      const [removed, back, ...rest] = await carol.hearsThrough("stream.live");
      const lateMs = Date.now() - Date.parse(ends);
      expect(lateMs).toBeGreaterThanOrEqual(0);
      expect(lateMs).toBeLessThan(1_000);
      expect(told([removed as Heard, back as Heard, ...rest], all)).toEqual(toAlice);
      expect(back?.event.data).not.toHaveProperty("until");
      expect((await alice.asks("GET", path(alice))).status).toBe(404);
      await bob.sets("travel", bern);
      await carol.hearsNothing();
      await alice.sets("travel", bern);
      let { cursor } = await carol.hears("property.changed", { value: bern });
      // Once its end has a place in the log, a cursor says whether its reader has heard of it.
      await until("nothing is told twice", async () => {
        const { snapshot, live } = await carol.watches(alice, "travel", { after: cursor });
        cursor = live.cursor;
        return snapshot.length === 0;
      });
    });

    test("a chain is followed hop by hop, and as one by who comes later", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      const dave = await world.registers("dave");
      await dave.sets("travel", bern);
      const names = { ...all, dave };
      await carol.watches(alice, "travel");
      await forwards(alice, bob);
      expect(await hearsMove(carol, names)).toEqual(toBob);
      await forwards(bob, dave);
      expect(await hearsMove(carol, names)).toEqual([
        "property.removed bob travel",
        "node.moved alice dave",
        "property.changed dave Bern",
        "stream.live",
      ]);
      const { snapshot } = await carol.watches(alice, "travel");
      expect(told(snapshot, names)).toEqual(["node.moved alice dave", "property.changed dave Bern"]);
      await stays(bob);
      expect(await hearsMove(carol, names)).toEqual([
        "property.removed dave travel",
        "node.moved alice bob",
        "property.changed bob Rome",
        "stream.live",
      ]);
      // Dave grants carol nothing: she stays with bob.
      await dave.grants();
      await forwards(bob, dave);
      await carol.hearsNothing();
      await stays(alice);
      expect(await hearsMove(carol, names)).toEqual(toAlice);
    });

    test("an address where nobody is wakes when somebody registers there", async () => {
      const { alice, carol } = await three();
      await carol.watches(alice, "travel");
      const handle = `late-${Math.random().toString(36).slice(2)}`;
      await forwards(alice, `${handle}@localhost`);
      await carol.hearsNothing();
      await alice.sets("travel", bern);
      await carol.hears("property.changed", { node: alice.address, value: bern });
      const late = await world.registers("late", { handle });
      await carol.hears("property.removed", { node: alice.address, name: "travel" });
      await carol.hears("node.moved", { node: alice.address, to: late.address });
      await carol.hears("stream.live");
      await late.sets("travel", rome);
      await carol.hears("property.changed", { node: late.address, value: rome });
      // And when that account ends, there is nobody to be found any more.
      expect((await late.asks("DELETE", "/v1/me")).status).toBe(204);
      const heard = await carol.hearsThrough("stream.live");
      expect(told(heard, { alice, late })).toEqual(
        expect.arrayContaining(["node.moved alice alice", "property.changed alice Bern"]),
      );
    });

    test("while both ends are written to, there and back, nothing is missed and nothing goes back", async () => {
      const { alice, bob, carol } = await three();
      const { snapshot } = await carol.watches(alice);
      const heard = [...snapshot];
      const writes = async (who: Person): Promise<void> => {
        for (let count = 0; count < 10; count++) await who.sets("travel", { city: `${count}` });
      };
      for (let turn = 0; turn < 3; turn++) {
        await Promise.all([writes(alice), writes(bob), forwards(alice, bob)]);
        await Promise.all([writes(alice), writes(bob), stays(alice)]);
      }
      await forwards(alice, bob);
      await bob.sets("travel", bern);
      const twin = carol.with(carol.token);
      await until("the stream knows what somebody knows that comes now", async () => {
        heard.push(...(await carol.hearsUpToNow()));
        return isDeepStrictEqual(believed(heard), believed((await twin.watches(alice)).snapshot));
      });
      expect(believed(heard)).toEqual({ [`${bob.address} travel`]: bern });
      const newest = new Map<string, number>();
      for (const { event } of heard) {
        const { node, revision } = event.data;
        if (revision === undefined) continue;
        const before = newest.get(node) ?? 0;
        // What was taken back is shown again as it stands.
        if (event.type.endsWith("removed")) expect(revision).toBeGreaterThan(before);
        else expect(revision).toBeGreaterThanOrEqual(before);
        newest.set(node, event.type.endsWith("removed") ? 0 : revision);
      }
    });

    test("the owner's own view stays where it is", async () => {
      const { alice, bob } = await three();
      await alice.listens({ self: true });
      await forwards(alice, bob);
      await alice.sets("travel", bern);
      await alice.hears("property.changed", { node: alice.address, value: bern });
      await alice.hearsNothing();
    });

    test("what another watch of the same stream shows as well is not taken back", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await alice.sets("presence", { status: "online" });
      await bob.sets("presence", { status: "away" });
      // Bob lets carol know where he travels, and nothing else.
      await bob.grants({ who: [carol.address], properties: ["travel"], allow: ["watch"] });
      await carol.watches(alice, "presence", { also: [alice.address] });
      await forwards(alice, bob);
      expect(await hearsMove(carol, all)).toEqual(toBob);
      await alice.sets("presence", { status: "busy" });
      await carol.hears("property.changed", {
        node: alice.address,
        name: "presence",
        value: { status: "busy" },
      });
      await carol.hearsNothing();
    });
  });

  describe("for whoever is not let in", () => {
    test("who is blocked by whom it watches learns nothing by it", async () => {
      const { alice, bob, carol } = await three();
      await alice.blocks(carol);
      const { live } = await carol.watches(alice, "travel");
      await forwards(alice, bob);
      await bob.sets("travel", rome);
      await carol.hearsNothing();
      expect((await carol.watches(alice, "travel")).snapshot).toEqual([]);
      expect((await carol.watches(alice, "travel", { after: live.cursor })).snapshot).toEqual([]);
      await stays(alice);
      await carol.hearsNothing();
      expect((await carol.watches(alice, "travel", { after: live.cursor })).snapshot).toEqual([]);
    });

    test("who is blocked once it has followed sees what it knew vanish, and comes along again when it is lifted", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await carol.watches(alice, "travel");
      await forwards(alice, bob);
      await hearsMove(carol, all);
      await alice.blocks(carol);
      const removed = await carol.hears("property.removed", { node: bob.address, name: "travel" });
      expect(removed.event.data.reason).toBe("deleted");
      await bob.sets("travel", bern);
      expect(
        told(
          (await carol.hearsUpToNow()).filter(({ event }) => !event.type.endsWith("live")),
          all,
        ),
      ).toEqual([]);
      await alice.unblocks(carol);
      expect(told(await carol.hearsThrough("property.changed"), all)).toEqual([
        "node.moved alice bob",
        "property.changed bob Bern",
      ]);
    });

    test.each(["polite", "hard"] as const)(
      "who is blocked at the other end (%s) keeps what it has",
      async (mode) => {
        const all = await three();
        const { alice, bob, carol } = all;
        await bob.blocks(carol, mode);
        await carol.watches(alice, "travel");
        await forwards(alice, bob);
        await carol.hearsNothing();
        expect(told((await carol.watches(alice, "travel")).snapshot, all)).toEqual([
          "property.changed alice Oslo",
        ]);
        await alice.sets("travel", oslo);
        await carol.hears("property.changed", { node: alice.address });
        await bob.unblocks(carol);
        expect(await hearsMove(carol, all)).toEqual(toBob);
      },
    );

    test("what is not granted yet is followed once it is; taken back, it leads back", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await bob.grants();
      await carol.watches(alice, "travel");
      await forwards(alice, bob);
      await carol.hearsNothing();
      await bob.grants({ who: [carol.address], properties: ["presence"], allow: ["watch"] });
      await carol.hearsNothing();
      await bob.grants({ who: [carol.address], properties: ["travel"], allow: ["watch"] });
      expect(await hearsMove(carol, all)).toEqual(toBob);
      // Nobody can tell whether bob grants nothing any more or blocks, or alice took the forward back.
      await bob.grants();
      expect(await hearsMove(carol, all)).toEqual(toAlice);
      await bob.sets("travel", rome);
      await carol.hearsNothing();
      await bob.grants({ who: ["anyone"], ...everything });
      expect(await hearsMove(carol, all)).toEqual(toBob);
      await bob.blocks(carol);
      expect(await hearsMove(carol, all)).toEqual(toAlice);
      await bob.unblocks(carol);
      expect(await hearsMove(carol, all)).toEqual(toBob);
      await bob.blocks(carol, "hard");
      expect(await hearsMove(carol, all)).toEqual(
        expect.arrayContaining([
          "node.moved alice alice",
          "property.removed bob travel",
          "property.changed alice Oslo",
        ]),
      );
    });
  });

  describe("on other ways", () => {
    test("a watch of a socket keeps its name", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await using socket = await openSocket(world.url, { token: carol.token });
      await socket.hears("stream.live");
      const { subscription } = await socket.does("watch", { target: alice.address, properties: ["travel"] });
      await socket.hearsThrough("stream.live");
      await forwards(alice, bob);
      const heard = await socket.hearsThrough("stream.live");
      expect(told(heard, all)).toEqual(toBob);
      expect(heard[1]?.event.data).toEqual({ node: alice.address, to: bob.address, subscription });
      expect(heard.at(-1)?.event.data).toEqual({ subscription });
      await stays(alice);
      expect(told(await socket.hearsThrough("stream.live"), all)).toEqual(toAlice);
      await forwards(alice, bob);
      await socket.hearsThrough("stream.live");
      await socket.does("unwatch", { subscription });
      await stays(alice);
      await bob.sets("travel", bern);
      await socket.does("ping");
      await alice.sets("travel", bern);
      const other = await socket.does("watch", { target: carol.address });
      expect((await socket.next()).event.data).toEqual({ subscription: other.subscription });
    });

    test("a subscription that is kept follows, and shows its target as it was wished", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      const kept = await carol.subscribes({ target: alice.address, properties: ["travel"] });
      await carol.listens();
      await bob.listens();
      await alice.listens();
      await forwards(alice, bob);
      const heard = await carol.hearsThrough("stream.live");
      expect(told(heard, all)).toEqual(toBob);
      expect(heard[1]?.event.data.subscription).toBe(kept.id);
      await bob.hears("watcher.started", { watcher: carol.address, subscription: kept.id });
      await alice.hears("watcher.ended", { watcher: carol.address, subscription: kept.id });
      expect((await carol.asks("GET", `/v1/subscriptions/${kept.id}`)).body).toEqual(kept);
      // One that is made now is made known where it leads.
      const other = await carol.subscribes({ target: alice.address });
      expect(other.state).toBe("active");
      await bob.hears("watcher.started", { watcher: carol.address, subscription: other.id });
      await carol.asks("DELETE", `/v1/subscriptions/${kept.id}`);
      await bob.hears("watcher.ended", { watcher: carol.address, subscription: kept.id });
      await alice.hearsNothing();
    });

    test("a roster that was read shows as well what is found at the other end", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await carol.sets("contacts", { members: [alice.address] });
      await forwards(alice, bob);
      const { body } = await carol.asks("GET", "/v1/me/roster?properties=travel");
      expect(body.contacts[0].properties.travel.value).toEqual(oslo);
      const { snapshot } = await carol.watches("roster", "travel", { after: body.cursor, withoutBell: true });
      expect(told(snapshot, all)).toEqual(["node.moved alice bob", "property.changed bob Rome"]);
      await bob.sets("travel", bern);
      await carol.hears("property.changed", { node: bob.address });
      await stays(alice);
      const heard = await carol.hearsThrough("stream.live");
      expect(told(heard, all)).toEqual(toAlice);
    });

    test("a watch of depth 1 follows with its account, and a group's member is watched where it is one", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      const group = `${bob.address}/chess`;
      await bob.creates(group, "group");
      await bob.asks("PUT", `${nodePath(group)}/members/${encodeURIComponent(alice.address)}`);
      await carol.subscribes({ target: alice.address, depth: "1", properties: ["travel"] });
      await carol.listens();
      await forwards(alice, bob);
      expect(await hearsMove(carol, all)).toEqual(toBob);
      await stays(alice);
      expect(await hearsMove(carol, all)).toEqual(toAlice);
      const dave = await world.registers("dave");
      await dave.subscribes({ target: group, depth: "1", properties: ["travel"] });
      expect(told((await dave.listens()).snapshot, all)).toEqual(["property.changed alice Oslo"]);
      await forwards(alice, bob);
      await dave.hearsNothing();
      await alice.sets("travel", bern);
      await dave.hears("property.changed", { node: alice.address });
    });

    test("a poll is told once, whatever it missed", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      let cursor = "";
      const polls = async (): Promise<string[]> => {
        const after = cursor === "" ? "" : `&after=${cursor}`;
        const { body } = await carol.asks("GET", `/v1/poll?watch=${alice.address}:travel${after}`);
        cursor = body.cursor;
        return told(
          (body.events as CloudEvent[]).map((event) => ({ event })),
          all,
        );
      };
      expect(await polls()).toEqual(["property.changed alice Oslo"]);
      await forwards(alice, bob);
      expect(await polls()).toEqual(["stream.reset", "node.moved alice bob", "property.changed bob Rome"]);
      expect(await polls()).toEqual([]);
      await bob.sets("travel", bern);
      expect(await polls()).toEqual(["property.changed bob Bern"]);
      const ends = inMs(300);
      await forwards(alice, bob, ends);
      await polls();
      await at(Date.parse(ends));
      expect(await polls()).toEqual([
        "stream.reset",
        "node.moved alice alice",
        "property.changed alice Oslo",
      ]);
      // Once its end has a place in the log, the poll knows that it has heard of it.
      await until("nothing is told twice", async () => (await polls()).length === 0);
      expect(await polls()).toEqual([]);
    });
  });

  describe("for whoever was away", () => {
    test.each(["a watch", "a kept subscription"] as const)(
      "%s is told on its return, and begins anew",
      async (kind) => {
        const all = await three();
        const { alice, bob, carol } = all;
        if (kind === "a kept subscription")
          await carol.subscribes({ target: alice.address, properties: ["travel"] });
        const comes = async (after?: string): Promise<[told: string[], cursor: string]> => {
          const terms = after === undefined ? {} : { after };
          const { snapshot, live } =
            kind === "a watch" ? await carol.watches(alice, "travel", terms) : await carol.listens(terms);
          await carol.leaves();
          const others = snapshot.filter(({ event }) => !/for-sale/.test(event.data.name));
          return [told(others, all), live.cursor];
        };
        let [heard, cursor] = await comes();
        expect(heard).toEqual(["property.changed alice Oslo"]);
        await forwards(alice, bob);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual(["stream.reset", "node.moved alice bob", "property.changed bob Rome"]);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual([]);
        await alice.sets("travel", bern);
        await bob.sets("travel", oslo);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual(["property.changed bob Oslo"]);
        await stays(alice);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual(["stream.reset", "node.moved alice alice", "property.changed alice Bern"]);
        // There and back while it is away: it may have been cut off on its way.
        await forwards(alice, bob);
        await stays(alice);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual(["stream.reset", "node.moved alice alice", "property.changed alice Bern"]);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual([]);
        await forwards(alice, bob);
        [heard, cursor] = await comes(cursor);
        await bob.blocks(carol);
        [heard, cursor] = await comes(cursor);
        expect(heard).toEqual(["stream.reset", "property.changed alice Bern"]);
      },
    );

    test("who is let in nowhere comes back as if nothing had happened", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await bob.grants();
      const { live } = await carol.watches(alice, "travel");
      await carol.leaves();
      const comes = async (): Promise<string[]> =>
        told((await carol.watches(alice, "travel", { after: live.cursor })).snapshot, all);
      await forwards(alice, bob);
      expect(await comes()).toEqual([]);
      await forwards(alice, bob, inMs(60_000));
      expect(await comes()).toEqual([]);
      await stays(alice);
      expect(await comes()).toEqual([]);
      await alice.sets("travel", bern);
      expect(await comes()).toEqual(["property.changed alice Bern"]);
    });

    test("cut off anywhere on the way, it knows in the end what is there, and nothing else", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      await bob.patches({ set: { one: { value: { city: "1" } }, two: { value: { city: "2" } } } });
      const { snapshot, live } = await carol.watches(alice);
      const heard = [...snapshot, live];
      const twin = carol.with(carol.token);
      /** What somebody holds to be there that comes back from one of the last events that were heard. */
      const comesBack = async (from: number): Promise<void> => {
        const fresh = believed((await twin.watches(alice)).snapshot);
        for (let cut = Math.max(from, 1); cut <= heard.length; cut++) {
          const before = heard.slice(0, cut);
          const came = await twin.watches(alice, undefined, { after: before.at(-1)?.cursor as string });
          const why = `cut off after ${told(before, all).join(", ")}`;
          expect(believed([...before, ...came.snapshot]), why).toEqual(fresh);
        }
      };
      const changes: (() => Promise<unknown>)[] = [
        async () => await forwards(alice, bob),
        async () => await bob.sets("one", { city: "one" }),
        async () => await stays(alice),
        async () => await alice.sets("three", { city: "3" }),
        async () => await forwards(alice, bob, inMs(60_000)),
        async () => await bob.blocks(carol),
        async () => await bob.unblocks(carol),
        async () => await alice.blocks(carol),
        async () => await alice.unblocks(carol),
        async () => await bob.grants(),
        async () => await bob.removes("two"),
        async () => await bob.grants({ who: ["anyone"], ...everything }),
      ];
      let last = 0;
      for (const change of changes) {
        const from = last;
        last = heard.length;
        await change();
        await until("the stream knows what somebody knows that comes now", async () => {
          heard.push(...(await carol.hearsUpToNow()));
          return isDeepStrictEqual(believed(heard), believed((await twin.watches(alice)).snapshot));
        });
        await comesBack(from);
      }
      const truth = { [`${bob.address} travel`]: rome, [`${bob.address} one`]: { city: "one" } };
      expect(believed(heard)).toEqual(truth);
      const ends = inMs(300);
      await forwards(alice, bob, ends);
      await at(Date.parse(ends));
      heard.push(...(await carol.hearsThrough("node.moved")), ...(await carol.hearsThrough("stream.live")));
      await comesBack(last);
      expect(believed(heard)).toEqual({
        [`${alice.address} travel`]: oslo,
        [`${alice.address} three`]: { city: "3" },
      });
    });
  });

  describe("on two brokers", () => {
    test("whoever watches through the other one hears the same, and each ends it by its own clock", async () => {
      const all = await three();
      const { alice, bob, carol } = all;
      const there = (await world.neighbour()).with(carol.token);
      for (const one of [carol, there]) {
        const { snapshot } = await one.watches(alice, "travel", { withoutBell: true });
        expect(told(snapshot, all)).toEqual(["property.changed alice Oslo"]);
      }
      await forwards(alice, bob, inMs(1_000));
      for (const one of [carol, there]) expect(await hearsMove(one, all)).toEqual(toBob);
      for (const one of [carol, there]) expect(await hearsMove(one, all)).toEqual(toAlice);
    });
  });

  describe("for messages", () => {
    const texts = async (who: Person): Promise<string[]> => (await unread(who)).map(({ content }) => content);
    const messaging = { properties: ["*"], allow: ["read", "watch", "message"] };

    test("one goes on to whoever the address leads to, as the recipient's own", async () => {
      const { alice, bob, carol } = await three();
      const dave = await world.registers("dave");
      await sends(carol, alice, "before");
      await forwards(alice, bob);
      await bob.listens();
      const id = await sends(carol, alice, "on the way");
      await bob.hears("message.received", { id, from: carol.address, to: bob.address });
      expect([await texts(alice), await texts(bob)]).toEqual([["before"], ["on the way"]]);
      await forwards(bob, dave);
      await sends(carol, alice, "further");
      expect(await texts(dave)).toEqual(["further"]);
      await sends(alice, alice, "to myself");
      expect(await texts(alice)).toEqual(["before", "to myself"]);
      await stays(alice);
      await sends(carol, alice, "back");
      expect(await texts(alice)).toEqual(["before", "to myself", "back"]);
    });

    test("one to whoever watches reaches those who went along", async () => {
      const { alice, bob, carol } = await three();
      const dave = await world.registers("dave");
      await dave.subscribes({ target: alice.address, properties: ["travel"] });
      await dave.listens();
      await sends(carol, alice, "before", { interest: { property: "travel" } });
      await dave.hears("message.received", { content: "before" });
      await forwards(alice, bob);
      await dave.hearsThrough("stream.live");
      await sends(carol, alice, "after", { interest: { property: "travel" } });
      await dave.hears("message.received", { content: "after", to: bob.address });
      await dave.hearsNothing();
    });

    test("one stays where the other end does not take it, and is dropped where the address does not", async () => {
      const { alice, bob, carol } = await three();
      await forwards(alice, bob);
      await bob.blocks(carol, "hard");
      await sends(carol, alice, "blocked there");
      await bob.unblocks(carol);
      await bob.grants({ who: [alice.address], ...messaging });
      await sends(carol, alice, "not granted there");
      await bob.grants({ who: ["anyone"], ...messaging });
      await forwards(alice, `nobody-${Math.random().toString(36).slice(2)}@localhost`);
      await sends(carol, alice, "nobody there");
      await forwards(alice, bob);
      await carol.blocks(bob);
      await sends(carol, alice, "blocked by its sender");
      await carol.unblocks(bob);
      const stayed = ["blocked there", "not granted there", "nobody there", "blocked by its sender"];
      expect(await texts(alice)).toEqual(stayed);
      await alice.blocks(carol);
      await sends(carol, alice, "shut out");
      await alice.unblocks(carol);
      expect([await texts(alice), await texts(bob)]).toEqual([stayed, []]);
      await sends(carol, alice, "let in");
      expect(await texts(bob)).toEqual(["let in"]);
    });
  });

  describe("for readers", () => {
    const reads = async (who: Person, of: string): Promise<Response> =>
      await fetch(`${world.url}${of}`, {
        redirect: "manual",
        headers: who.token === undefined ? {} : { authorization: `Bearer ${who.token}` },
      });

    test("who may see it at both ends is sent on; others get what they would have got", async () => {
      const { alice, bob, carol } = await three();
      const [node, property] = [nodePath(alice.address), propertyPath(alice.address, "travel")];
      await forwards(alice, bob);
      for (const [of, location] of [
        [`${node}?properties=travel&depth=1`, `${nodePath(bob.address)}?properties=travel&depth=1`],
        [node, nodePath(bob.address)],
        [property, propertyPath(bob.address, "travel")],
      ] as const) {
        const moved = await reads(carol, of);
        expect([moved.status, moved.headers.get("location")]).toEqual([308, location]);
        expect(moved.headers.get("content-type")).toContain("application/problem+json");
        expect(await moved.json()).toMatchObject({
          code: "moved",
          status: 308,
          to: bob.address,
          type: "/problems/moved",
        });
        expect((await reads(alice, of)).status).toBe(200);
      }
      // Whoever goes along finds what is there.
      expect(await carol.sees(alice, "travel")).toEqual(rome);
      await forwards(alice, bob, inMs(60_000));
      const forNow = await reads(carol, property);
      expect(forNow.status).toBe(307);
      expect(await forNow.json()).toMatchObject({ code: "moved", status: 307, to: bob.address });
      await bob.blocks(carol);
      expect((await reads(carol, property)).status).toBe(200);
      expect((await reads(carol, node)).status).toBe(200);
      await bob.unblocks(carol);
      await alice.blocks(carol);
      const absent = `nobody-${Math.random().toString(36).slice(2)}@localhost`;
      const [hidden, nothing] = [await reads(carol, node), await reads(carol, nodePath(absent))];
      expect([hidden.status, await hidden.text()]).toEqual([404, await nothing.text()]);
      expect((await reads(world.stranger, property)).status).toBe(404);
      await alice.asks("DELETE", blockPath(alice.address, carol.address));
      await stays(alice);
      expect((await reads(carol, property)).status).toBe(200);
    });
  });
});

describe("a circle that two made at the same moment", () => {
  let waiting: (() => void)[] | undefined;
  /** The first two forwards reach the store together, so that neither owner knows of the other's. */
  const through = (log: Log): Log => ({
    ...log,
    async append(facts) {
      if (waiting && facts.some(({ subject }) => subject.includes(".forward."))) {
        const { promise, resolve } = Promise.withResolvers<void>();
        if (waiting.push(resolve) === 2) {
          for (const go of waiting) go();
          waiting = undefined;
        }
        await promise;
      }
      return await log.append(facts);
    },
  });
  const world = aWorld("memory", { through });

  test("leads nowhere, until one of them opens it", async () => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    await alice.sets("travel", oslo);
    await bob.sets("travel", rome);
    const all = { alice, bob, carol };
    await carol.watches(alice, "travel");
    waiting = [];
    await Promise.all([forwards(alice, bob), forwards(bob, alice)]);
    await carol.hearsUpToNow();
    expect(told((await carol.watches(alice, "travel")).snapshot, all)).toEqual([
      "property.changed alice Oslo",
    ]);
    expect((await carol.gets(alice, "travel")).value).toEqual(oslo);
    const id = await sends(carol, alice, "Hello");
    expect((await unread(alice)).map((message) => message.id)).toEqual([id]);
    await stays(bob);
    const heard = await carol.hearsThrough("stream.live");
    expect(told(heard, all)).toContain("node.moved alice bob");
    expect(told(heard, all)).toContain("property.changed bob Rome");
  });
});

describe("on a store that takes its time", () => {
  let facts: Log | undefined;
  const world = aWorld("memory", {
    through: (log) => {
      facts ??= log;
      return log;
    },
  });

  test("whoever is cut off before it is known who is there begins anew", async () => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    await alice.sets("travel", oslo);
    await bob.sets("travel", rome);
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow: Log = {
      ...(facts as Log),
      async last(subject) {
        if (subject.includes(`${bob.address.split("@")[0]}.=.node.`)) await promise;
        return await (facts as Log).last(subject);
      },
    };
    const there = (await world.neighbour({ facts: slow })).with(carol.token);
    await there.watches(alice, "travel", { withoutBell: true });
    await forwards(alice, bob);
    await alice.sets("travel", bern);
    const { cursor } = await there.hears("property.changed", { node: alice.address, value: bern });
    await there.leaves();
    resolve();
    const { snapshot } = await there.watches(alice, "travel", { withoutBell: true, after: cursor });
    const names = { alice, bob, carol };
    expect(told(snapshot, names)).toEqual([
      "stream.reset",
      "node.moved alice bob",
      "property.changed bob Rome",
    ]);
    await stays(alice);
    expect(told(await there.hearsThrough("stream.live"), names)).toContain("property.changed alice Bern");
  });
});

// Blocks: a polite one is absence and leaves no trace; a hard one says so. Nothing that is accepted afterwards gets through.
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import { answerBody, blockBody } from "../../services/policy/policy-facts.ts";
import type { Log } from "../../services/store/log.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import { until } from "../store/embedded.ts";
import { aWorld, blockPath, type Heard, nodePath, type Person, propertyPath, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const notFound = { status: 404, body: { code: "not-found" } };
const told = (heard: readonly Heard[]): string[] =>
  heard.map(({ event }) => `${event.type.replace("dev.tidings.", "")} ${event.data.name ?? ""}`.trim());

describe.each(stages)("blocks on the %s log", (stage) => {
  const world = aWorld(stage);

  async function aPair(): Promise<[Person, Person]> {
    const alice = await world.registers("alice");
    await alice.patches({ set: { travel: { value: oslo }, presence: { value: { status: "online" } } } });
    return [alice, await world.registers("bob")];
  }

  test("are listed for their owner, changed and lifted", async () => {
    const [alice, bob] = await aPair();
    const list = async (): Promise<unknown> =>
      (await alice.asks("GET", `${nodePath(alice.address)}/blocks`)).body.blocks.map(
        ({ who, mode }: { who: string; mode: string }) => [who, mode],
      );
    expect(await list()).toEqual([]);
    const made = await alice.asks("PUT", blockPath(alice.address, bob.address));
    expect(made).toMatchObject({ status: 200, body: { who: bob.address, mode: "polite" } });
    await alice.blocks("@Example.com", "hard");
    await alice.blocks("anonymous");
    expect(await list()).toEqual([
      ["@example.com", "hard"],
      ["anonymous", "polite"],
      [bob.address, "polite"],
    ]);
    await alice.blocks(bob, "hard");
    await alice.unblocks("anonymous");
    await alice.unblocks("anonymous");
    expect(await list()).toEqual([
      ["@example.com", "hard"],
      [bob.address, "hard"],
    ]);
    expect((await bob.asks("GET", `${nodePath(alice.address)}/blocks`)).status).toBe(403);
    expect((await alice.asks("PUT", blockPath(alice.address, alice.address))).status).toBe(400);
    expect((await alice.asks("PUT", blockPath(alice.address, "everybody"))).body.code).toBe("bad-address");
    const odd = await alice.asks("PUT", blockPath(alice.address, bob.address), { body: { mode: "rude" } });
    expect(odd.body.code).toBe("bad-request");
  });

  test("a polite one takes from an open stream what it showed, and then is silent", async () => {
    const [alice, bob] = await aPair();
    const { snapshot } = await bob.watches(alice);
    const last = Math.max(...snapshot.map(({ event }) => event.data.revision));
    await alice.blocks(bob);
    const removed = await bob.hearsMany(2);
    expect(told(removed).sort()).toEqual(["property.removed presence", "property.removed travel"]);
    const revisions = removed.map(({ event }) => event.data.revision);
    expect(revisions[0]).toBeGreaterThan(last);
    expect(revisions[1]).toBeGreaterThan(revisions[0]);
    expect(new Set(removed.map(({ event }) => event.id)).size).toBe(2);
    await alice.sets("travel", rome);
    await alice.sets("looking-for", { what: "peace" });
    await bob.hearsNothing();
  });

  test("a polite one looks exactly as a deletion does", async () => {
    const [alice, bob] = await aPair();
    const [carol] = await aPair();
    await bob.watches(alice, "travel");
    await alice.blocks(bob);
    const [blocked] = await bob.hearsMany(1);
    await bob.watches(carol, "travel");
    await carol.removes("travel");
    const [deleted] = await bob.hearsMany(1);
    const shape = ({ event }: Heard): unknown => ({
      ...event,
      id: event.id.replaceAll(/\d+/g, "N").replace(/^[^-]*/, ""),
      source: "",
      time: event.time.length,
      data: { ...event.data, node: "", revision: typeof event.data.revision },
    });
    expect(shape(blocked as Heard)).toEqual(shape(deleted as Heard));
  });

  test("after it, every way in shows absence", async () => {
    const [alice, bob] = await aPair();
    const nobody = `nobody-${Date.now()}@localhost`;
    const kept = await bob.subscribes({ target: alice.address });
    await alice.blocks(bob);
    for (const path of [nodePath, (address: string) => propertyPath(address, "travel")]) {
      const [blocked, absent] = [
        await bob.asks("GET", path(alice.address)),
        await bob.asks("GET", path(nobody)),
      ];
      expect(blocked).toMatchObject(notFound);
      expect(blocked.text).toBe(absent.text);
    }
    const [made, other] = [
      await bob.subscribes({ target: alice.address }),
      await bob.subscribes({ target: nobody }),
    ];
    expect({ ...made, id: "", target: "" }).toEqual({ ...other, id: "", target: "" });
    expect((await bob.asks("GET", `/v1/subscriptions/${kept.id}`)).body.state).toBe("pending");
    const { snapshot } = await bob.watches(alice);
    expect(snapshot).toEqual([]);
    const polled = await bob.asks("GET", `/v1/poll?watch=${alice.address}`);
    expect(polled.body.events).toEqual([]);
    await alice.sets("travel", rome);
    await bob.hearsNothing();
  });

  test("whoever was away is told of the end, and of nothing that came after the block", async () => {
    const [alice, bob] = await aPair();
    const { live } = await bob.watches(alice);
    await bob.leaves();
    await alice.sets("looking-for", { what: "company" });
    await alice.blocks(bob);
    await alice.sets("travel", rome);
    await alice.sets("for-sale", { item: "bike" });
    await alice.removes("presence");
    const { snapshot } = await bob.watches(alice, undefined, { after: live.cursor });
    expect(told(snapshot).sort()).toEqual([
      "property.removed looking-for",
      "property.removed presence",
      "property.removed travel",
    ]);
    await alice.sets("profile", { name: "Alice" });
    await bob.hearsNothing();
  });

  test("a cursor from elsewhere tells of no block, no decision, and of nothing that was never shown", async () => {
    const [alice, bob] = await aPair();
    const carol = await world.registers("carol");
    await carol.grants();
    await bob.subscribes({ target: carol.address });
    const { live } = await bob.listens();
    const after = live.cursor;
    await bob.leaves();
    await alice.blocks(bob);
    await carol.grants({ who: [alice.address], properties: ["*"], allow: ["read", "watch"] });
    expect(told((await bob.listens({ after })).snapshot)).toEqual([]);
    for (const whom of [alice.address, carol.address, `nobody-${Date.now()}@localhost`]) {
      for (const names of ["travel", undefined]) {
        expect(told((await bob.watches(whom, names, { after })).snapshot)).toEqual([]);
        await bob.leaves();
      }
      const polled = await bob.asks("GET", `/v1/poll?watch=${whom}&after=${after}`);
      expect(polled.body.events).toEqual([]);
    }
  });

  test("whoever was away is told of each end above what it knew", async () => {
    const [alice, bob] = await aPair();
    const names = ["a", "b", "c", "d", "e"];
    await bob.watches(alice);
    await alice.patches({ set: Object.fromEntries(names.map((name) => [name, { value: oslo }])) });
    const known = await bob.hearsMany(names.length);
    await bob.leaves();
    await alice.blocks(bob);
    const { snapshot } = await bob.watches(alice, undefined, { after: known.at(-1)?.cursor as string });
    const ends = new Map(snapshot.map(({ event }) => [event.data.name, event]));
    expect([...ends.keys()].sort()).toEqual([...names, "presence", "travel"]);
    for (const { event } of known) {
      const end = ends.get(event.data.name);
      expect(end?.type).toBe("dev.tidings.property.removed");
      expect(end?.data.revision).toBeGreaterThan(event.data.revision);
    }
  });

  test("what went and came back behind it is gone for whoever knew it, and nothing to whoever did not", async () => {
    const [alice, bob] = await aPair();
    await alice.removes("presence");
    const { live } = await bob.watches(alice);
    await bob.leaves();
    await alice.blocks(bob);
    const comesBack = async (): Promise<string[]> =>
      told((await bob.watches(alice, undefined, { after: live.cursor })).snapshot);
    for (let turn = 0; turn < 2; turn++) {
      await alice.removes("travel");
      await alice.patches({ set: { travel: { value: rome }, presence: { value: {} } } });
      expect(await comesBack()).toEqual(["property.removed travel"]);
    }
    await alice.removes("travel");
    expect(await comesBack()).toEqual(["property.removed travel"]);
    await alice.unblocks(bob);
    expect(await bob.hearsMany(1).then(told)).toEqual(["property.changed presence"]);
  });

  test("lifted, the present is shown and the meantime is not", async () => {
    const [alice, bob] = await aPair();
    await bob.watches(alice, "travel");
    await alice.blocks(bob);
    await bob.hears("property.removed", { name: "travel" });
    const { event } = await bob.hearsNothing().then(async () => {
      for (const city of ["Rome", "Paris", "Bergen"]) await alice.sets("travel", { city });
      await alice.unblocks(bob);
      return await bob.hears("property.changed", { name: "travel", reason: "snapshot" });
    });
    expect(event.data.value).toEqual({ city: "Bergen" });
    await bob.hearsNothing();
    await alice.sets("travel", oslo);
    await bob.hears("property.changed", { name: "travel", value: oslo, reason: "set" });
  });

  test("lifted while its party was away, the present is shown to whoever comes back", async () => {
    const [alice, bob] = await aPair();
    await bob.watches(alice, "travel");
    await alice.blocks(bob);
    const removed = await bob.hears("property.removed", { name: "travel" });
    await bob.leaves();
    await alice.unblocks(bob);
    const { snapshot } = await bob.watches(alice, "travel", { after: removed.cursor });
    expect(told(snapshot)).toEqual(["property.changed travel"]);
  });

  test.each(["of the party", "of its domain"])(
    "one that is put again, or made harder for a while, shows nothing that came behind the first %s",
    async (first) => {
      const [alice, bob] = await aPair();
      await bob.watches(alice, "travel,contact");
      await alice.blocks(first === "of the party" ? bob : "@localhost");
      const { cursor } = await bob.hears("property.removed", { name: "travel" });
      await bob.leaves();
      await alice.sets("contact", { phone: "1" });
      for (const mode of ["polite", "hard", "polite"] as const) await alice.blocks(bob, mode);
      const { snapshot } = await bob.watches(alice, "travel,contact", { after: cursor });
      expect(told(snapshot)).toEqual([]);
    },
  );

  test("a hard one says so", async () => {
    const [alice, bob] = await aPair();
    const kept = await bob.subscribes({ target: alice.address, properties: ["travel"] });
    await bob.listens();
    await alice.blocks(bob, "hard");
    const heard = [...(await bob.hearsMany(2))];
    expect(told(heard)).toEqual(["property.removed travel", "subscription.ended"]);
    expect(heard[1]?.event.data).toMatchObject({ id: kept.id, reason: "blocked" });
    await until(
      "the subscription has ended",
      async () => (await bob.asks("GET", `/v1/subscriptions/${kept.id}`)).status === 404,
    );
    const blocked = { status: 403, body: { code: "blocked" } };
    expect(await bob.asks("GET", nodePath(alice.address))).toMatchObject(blocked);
    expect(await bob.asks("GET", propertyPath(alice.address, "travel"))).toMatchObject(blocked);
    expect(await bob.asks("GET", propertyPath(alice.address, "nothing"))).toMatchObject(blocked);
    expect(await bob.asks("GET", `/v1/poll?watch=${alice.address}`)).toMatchObject(blocked);
    const again = await bob.asks("POST", "/v1/subscriptions", { body: { target: alice.address } });
    expect(again).toMatchObject(blocked);
  });

  test("a hard one says so to whoever watches for the moment, and its end goes on where it was", async () => {
    const [alice, bob] = await aPair();
    await bob.watches(alice, "travel");
    await alice.blocks(bob, "hard");
    await bob.hears("property.removed", { name: "travel" });
    await bob.hears("subscription.ended", { target: alice.address, reason: "blocked" });
    await alice.unblocks(bob);
    await bob.hears("property.changed", { name: "travel", reason: "snapshot" });
  });

  test("a domain and whoever has no token are blocked as well, and a block beats a grant", async () => {
    const [alice, bob] = await aPair();
    await alice.sets("for-sale", { item: "bike" });
    await alice.grants({ who: ["anyone", bob.address], properties: ["*"], allow: ["read", "watch"] });
    expect(await world.stranger.sees(alice, "for-sale")).toEqual({ item: "bike" });
    await alice.blocks("anonymous");
    expect(await world.stranger.sees(alice, "for-sale")).toBeUndefined();
    expect(await bob.sees(alice, "for-sale")).toEqual({ item: "bike" });
    await alice.blocks("@localhost");
    expect(await bob.sees(alice, "for-sale")).toBeUndefined();
    expect(await alice.sees(alice, "for-sale")).toEqual({ item: "bike" });
  });
});

describe("somebody with as many decisions as one may have", () => {
  const many = Array.from({ length: 10_000 }, (_, index) => `n${index}@example.org`);
  let facts: Log | undefined;
  // The first of its logs.
  const through = (log: Log): Log => {
    facts ??= log;
    return log;
  };
  const world = aWorld("memory", { through });
  const watcherPath = (who: string, watcher: string): string =>
    `${nodePath(who)}/watchers/${encodeURIComponent(watcher)}`;

  test.each([
    ["block", "too-many-blocks", blockPath, blockBody({ mode: "polite", madeMs: 0 }), { mode: "hard" }],
    [
      "answer",
      "too-many-answers",
      watcherPath,
      answerBody({ decision: "allow", properties: ["travel"], madeMs: 0 }),
      { decision: "deny" },
    ],
  ] as const)(
    "is refused one more %s, and may change what is there",
    async (kind, code, path, body, other) => {
      const alice = await world.registers("alice");
      const address = parseAddress(alice.address);
      await facts?.append(many.map((who) => ({ subject: subjectOf(address, kind, who), body, expected: 0 })));
      const full = await alice.asks("PUT", path(alice.address, "bob@example.org"), { body: other });
      expect(full).toMatchObject({ status: 422, body: { code } });
      const changed = await alice.asks("PUT", path(alice.address, many[0] as string), { body: other });
      expect(changed).toMatchObject({ status: 200, body: other });
    },
  );
});

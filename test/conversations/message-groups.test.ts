// Messages to many: a group's members, those who watch a property, readers that are slow, and boxes that are full.
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import { leftBody, membershipBody } from "../../services/groups/member-facts.ts";
import type { Log } from "../../services/store/log.ts";
import { subjectOf } from "../../services/store/subjects.ts";
import { acknowledges, polls, said, sends, waiting } from "./post.ts";
import { openSocket } from "./socket.ts";
import { aWorld, type Data, longStages, type Person } from "./world.ts";

const received = "message.received";

describe.each(longStages)("messages to many on the %s log", (stage) => {
  let facts: Log | undefined;
  const world = aWorld(stage, {
    through(log) {
      facts ??= log;
      return log;
    },
  });

  /** As the service of groups writes it. */
  async function turns(group: string, who: Person, body: string): Promise<void> {
    const log = facts as Log;
    const subject = subjectOf(parseAddress(group), "member", who.address);
    const expected = (await log.last(subject))?.position ?? 0;
    await log.append([{ subject, body, expected }]);
  }
  const joins = async (group: string, who: Person): Promise<void> =>
    await turns(group, who, membershipBody({ standing: "member", sinceMs: Date.now() }));
  const quits = async (group: string, who: Person): Promise<void> => await turns(group, who, leftBody);

  async function club(): Promise<{ group: string; alice: Person; bob: Person; carol: Person }> {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    const group = `${alice.address}/chess`;
    await alice.creates(group, "group");
    for (const one of [alice, bob, carol]) await joins(group, one);
    return { group, alice, bob, carol };
  }

  const texts = async (who: Person): Promise<string[]> => (await waiting(who)).map(({ content }) => content);

  describe("a group", () => {
    test("hears what its members say, each but the one who said it", async () => {
      const { group, alice, bob, carol } = await club();
      for (const one of [alice, bob]) await one.listens();
      const id = await sends(bob, group, "e4");
      await alice.hears(received, { id, from: bob.address, to: group, content: "e4" });
      await bob.hearsNothing();
      expect(said((await carol.listens()).snapshot)).toEqual(["e4"]);
      expect(await texts(bob)).toEqual([]);
    });

    test("each member acknowledges for itself, in whatever order", async () => {
      const { group, alice, bob, carol } = await club();
      const ids: string[] = [];
      for (const text of ["one", "two", "three", "four"]) {
        ids.push(await sends(bob, group, text));
        await sends(alice, group, `alice after ${text}`);
      }
      await acknowledges(alice, ids[2] as string);
      expect(await texts(alice)).toEqual(["one", "two", "four"]);
      await acknowledges(alice, ids[0] as string);
      await acknowledges(alice, ids[1] as string);
      expect(await texts(alice)).toEqual(["four"]);
      await acknowledges(alice, ids[3] as string);
      expect(await texts(alice)).toEqual([]);
      expect(await texts(carol)).toHaveLength(8);
      expect(said((await alice.listens()).snapshot)).toEqual([]);
    });

    test("whoever joins hears what comes after, also on a stream that is open; whoever leaves no more", async () => {
      const { group, alice, bob } = await club();
      const dave = await world.registers("dave");
      await sends(bob, group, "before");
      await dave.listens();
      await joins(group, dave);
      await dave.hears("member.joined", { group });
      await sends(bob, group, "after");
      await dave.hears(received, { content: "after" });
      expect(await texts(dave)).toEqual(["after"]);
      await quits(group, dave);
      await dave.hears("member.left", { group });
      await sends(alice, group, "without dave");
      await dave.hearsNothing();
      expect(await texts(dave)).toEqual([]);
      await joins(group, dave);
      expect(await texts(dave)).toEqual([]);
    });

    test("nobody else is heard there, unless its owner lets them", async () => {
      const { group, alice, bob } = await club();
      const eve = await world.registers("eve");
      await alice.grants({ who: ["contacts"], properties: ["*"], allow: ["read"] });
      await bob.listens();
      await sends(eve, group, "unheard");
      await sends(alice, group, "the owner's");
      await bob.hears(received, { content: "the owner's" });
      await alice.grants({ who: [eve.address], properties: ["*"], allow: ["message"] });
      await sends(eve, group, "heard");
      await bob.hears(received, { content: "heard" });
      await alice.blocks(eve);
      await sends(eve, group, "blocked");
      await bob.hearsNothing();
    });

    test("a block holds between two members, whichever of them made it, and between one and the owner", async () => {
      const { group, alice, bob, carol } = await club();
      await carol.listens();
      await bob.blocks(carol);
      await sends(bob, group, "not for carol");
      await sends(carol, group, "not for bob");
      await sends(alice, group, "for both");
      await carol.hears(received, { content: "for both" });
      expect(await texts(bob)).toEqual(["for both"]);
      const dave = await world.registers("dave");
      await joins(group, dave);
      await alice.blocks(bob);
      await sends(dave, group, "not for bob, by the owner");
      await expect(sends(bob, group, "dropped")).resolves.toBeDefined();
      expect(await texts(bob)).toEqual([]);
      expect(await texts(alice)).toEqual(["not for bob", "not for bob, by the owner"]);
    });
  });

  describe("those who watch a property", () => {
    const interest = { interest: { property: "for-sale" } };

    test("hear it live if they may watch it, and nobody else does", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const carol = await world.registers("carol");
      const dave = await world.registers("dave");
      await alice.grants(
        { who: [bob.address, carol.address], properties: ["for-sale"], allow: ["watch", "read"] },
        { who: [dave.address], properties: ["travel"], allow: ["watch", "read"] },
      );
      await bob.watches(alice, "for-sale");
      await carol.watches(alice, "travel");
      await dave.watches(alice);
      await alice.listens();
      const id = await sends(alice, alice, "Reduced by half", interest);
      await bob.hears(received, { id, from: alice.address, to: alice.address, content: "Reduced by half" });
      for (const one of [carol, dave]) await one.hearsNothing();
      // Of whoever asked for what is not granted its owner is told in its own time.
      const heard = (await alice.hearsUpToNow()).map(({ event }) => event.type);
      expect(heard.filter((type) => !type.includes("watcher."))).toEqual([]);
      for (const one of [alice, bob]) expect(await waiting(one)).toEqual([]);
      await bob.hearsNothing();
    });

    test("hear it on return if they keep a subscription from before, until it expires", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const carol = await world.registers("carol");
      const target = { target: alice.address, properties: ["for-sale"] };
      await bob.subscribes(target);
      const { cursor } = await polls(bob);
      await sends(alice, alice, "one", interest);
      await sends(alice, alice, "two", interest);
      await carol.subscribes(target);
      expect(said((await carol.listens()).snapshot)).toEqual([]);
      const heard = (await bob.listens({ after: cursor })).snapshot;
      expect(said(heard)).toEqual(["one", "two"]);
      expect(said((await bob.listens()).snapshot)).toEqual(["one", "two"]);
      const later = await polls(bob);
      expect(said((await polls(bob, later.cursor)).events)).toEqual([]);
      await bob.watches(alice, "for-sale");
      await sends(alice, alice, "three", interest);
      await bob.hears(received, { content: "three" });
      await bob.hearsNothing();
    });

    test("hear nothing through a block, and nothing from whom the owner does not let speak there", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const eve = await world.registers("eve");
      await alice.grants(
        { who: ["anyone"], properties: ["*"], allow: ["watch", "read"] },
        { who: [bob.address], properties: ["*"], allow: ["message"] },
      );
      await eve.watches(alice, "for-sale");
      await sends(eve, alice, "Buy elsewhere", interest);
      await sends(bob, alice, "I take it", interest);
      await eve.hears(received, { from: bob.address, content: "I take it" });
      await bob.blocks(eve);
      await sends(bob, alice, "Not for eve", interest);
      await eve.hearsNothing();
      await alice.blocks(eve);
      await sends(alice, alice, "Not for eve either", interest);
      await eve.hearsNothing();
    });
  });

  describe("a reader that is slow", () => {
    test("misses none, and is shown nothing anew", async () => {
      const bob = await world.registers("bob");
      const senders = await Promise.all(["s", "t", "u"].map((name) => world.registers(name)));
      await using socket = await openSocket(world.url, { token: bob.token });
      await socket.hears("stream.live");
      socket.raw.pause();
      const text = "x".repeat(40_000);
      const sent: string[] = [];
      for (let round = 0; round < 100; round++) {
        for (const sender of senders) sent.push(await sends(sender, bob, `${sent.length} ${text}`));
      }
      socket.raw.resume();
      const heard: string[] = [];
      while (heard.length < sent.length) heard.push((await socket.hears(received)).event.id);
      expect(heard).toEqual(sent);
    });

    test("misses none, also when what else it is owed is more than may wait", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const senders = await Promise.all(["s", "t", "u"].map((name) => world.registers(name)));
      await using socket = await openSocket(world.url, { token: bob.token });
      await socket.hears("stream.live");
      await socket.does("watch", { target: alice.address });
      await socket.hears("stream.live");
      socket.raw.pause();
      const text = "x".repeat(30_000);
      const sent: string[] = [];
      for (let round = 0; round < 100; round++) {
        for (const sender of senders) sent.push(await sends(sender, bob, `${sent.length} ${text}`));
        if (round > 60) await alice.sets(`text.${round}`, { text: text + text });
      }
      socket.raw.resume();
      const heard = new Set<string>();
      const order: number[] = [];
      let hasReset = false;
      while (heard.size < sent.length) {
        const { event } = await socket.next();
        if (event.type === "dev.tidings.stream.reset") hasReset = true;
        if (event.type !== "dev.tidings.message.received") continue;
        if (!heard.has(event.id)) order.push(sent.indexOf(event.id));
        heard.add(event.id);
      }
      expect(hasReset).toBe(true);
      expect(order).toEqual(sent.map((_, index) => index));
      expect((await waiting(bob)).map(({ id }: Data) => id)).toEqual(sent);
    });
  });
});

describe.each(longStages)("a box that is full on the %s log", (stage) => {
  const boxes = { ofPair: { count: 4, bytes: 1_000 }, ofRecipient: { count: 10, bytes: 2_500 } };
  const world = aWorld(stage, { settings: { boxes } });
  const full = { status: 507, code: "inbox-full" };

  test("takes no more of one sender, says so, and takes more when there is room", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    const ids: string[] = [];
    for (const text of ["1", "2", "3", "4"]) ids.push(await sends(alice, bob, text));
    await expect(sends(alice, bob, "5")).rejects.toMatchObject(full);
    await sends(carol, bob, "there is room for carol");
    await acknowledges(bob, ids[0] as string);
    await sends(alice, bob, "6");
    expect((await waiting(bob)).map(({ content }) => content)).toEqual([
      "2",
      "3",
      "4",
      "there is room for carol",
      "6",
    ]);
    await expect(sends(carol, bob, "x".repeat(990))).rejects.toMatchObject(full);
  });

  test("many at once are not more than may wait, and a retry of one that was taken is answered as before", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const key = (n: number): Record<string, string> => ({ "idempotency-key": `full-${n}` });
    const tries = Array.from({ length: 12 }, (_, n) => sends(alice, bob, `${n}`, {}, key(n)));
    const outcomes = await Promise.allSettled(tries);
    const taken = outcomes.flatMap((one, n) => (one.status === "fulfilled" ? [{ n, id: one.value }] : []));
    expect(taken).toHaveLength(4);
    for (const { n, id } of taken) expect(await sends(alice, bob, `${n}`, {}, key(n))).toBe(id);
    expect(await waiting(bob)).toHaveLength(4);
  });

  test("a recipient's box has an end as well, which those who are shut out bring no nearer", async () => {
    const [alice, bob, carol, dave, bobs] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
      await world.registers("dave"),
      await world.registers("eve"),
    ];
    await bobs.blocks(dave);
    for (let n = 0; n < 4; n++) await sends(dave, bobs, "dropped");
    await expect(sends(dave, bobs, "as if it were full")).rejects.toMatchObject(full);
    for (const sender of [alice, bob]) for (let n = 0; n < 4; n++) await sends(sender, bobs, "x");
    for (let n = 0; n < 2; n++) await sends(carol, bobs, "x");
    await expect(sends(carol, bobs, "x")).rejects.toMatchObject(full);
  });
});

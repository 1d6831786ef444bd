// What an owner decides in the very moment in which somebody comes back to watch: whoever comes is not left with what it may see no more.
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type Log, LogUnavailable } from "../../services/store/log.ts";
import { openSocket } from "./socket.ts";
import { aWorld, type Data } from "./world.ts";

/** A read of a node that is to come, or a snapshot, which waits until it is let go. */
interface Hold {
  readonly reached: Promise<void>;
  release(): void;
}

describe("on a store that takes its time", () => {
  let holding: { left: number; reach(): void; readonly released: Promise<void> } | undefined;
  const through = (log: Log): Log => ({
    ...log,
    async last(subject) {
      const found = await log.last(subject);
      if (subject.includes(".node.") && holding && --holding.left === 0) {
        const { reach, released } = holding;
        holding = undefined;
        reach();
        await released;
      }
      return found;
    },
    async append(facts) {
      const first = await log.append(facts);
      if (
        holdingEnd &&
        facts.some(({ subject, body }) => subject.includes(".subscription.") && body.includes("blocked"))
      )
        await holdingEnd;
      return first;
    },
    async snapshot(filters) {
      if (failing && filters.some((filter) => filter.endsWith(`.property.${failing}`)))
        throw new LogUnavailable("the store does not answer for a while");
      const taken = await log.snapshot(filters);
      if (filters.some((filter) => filter.includes(".property.")) && holdingSnapshot) {
        const { reach, released } = holdingSnapshot;
        holdingSnapshot = undefined;
        reach();
        await released;
      }
      return taken;
    },
  });
  const world = aWorld("memory", { through });

  /** Reads of properties of this name fail. */
  let failing: string | undefined;
  /** The end of a blocked subscription is acknowledged late: the feed brings it before. */
  let holdingEnd: Promise<void> | undefined;
  let holdingSnapshot: Omit<NonNullable<typeof holding>, "left"> | undefined;

  function hold(which: number | "snapshot"): Hold {
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const held = { reach: reached.resolve, released: released.promise };
    if (which === "snapshot") holdingSnapshot = held;
    else holding = { left: which, ...held };
    return { reached: reached.promise, release: released.resolve };
  }

  test.each([
    ["is looked up", 1],
    ["is about to be taken up", 2],
  ])("a watch that goes on from a cursor and %s hears that it has to begin anew", async (_, read) => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    await alice.sets("travel", { city: "Oslo" });
    await using before = await openSocket(world.url, { token: bob.token });
    await before.hears("stream.live");
    await before.does("watch", { target: alice.address });
    await before.hears("property.changed", { name: "travel" });
    const { cursor } = await before.hears("stream.live");

    await using after = await openSocket(world.url, { token: bob.token });
    await after.hears("stream.live");
    const { reached, release } = hold(read);
    const watching = after.does("watch", { target: alice.address, after: cursor });
    await reached;
    await alice.grants({ who: [carol.address], properties: ["*"], allow: ["read", "watch"] });
    expect(await bob.sees(alice, "travel")).toBeUndefined();
    release();
    const { subscription } = await watching;
    await after.hears("stream.reset", { subscription });
    await after.hears("stream.live", { subscription });
    await alice.grants({ who: [bob.address], properties: ["*"], allow: ["read", "watch"] });
    await after.hears("subscription.active", { id: subscription });
    await after.hears("property.changed", { name: "travel" });
  });

  test("a watch whose snapshot is late shows nothing that another one of its stream has told better", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    await alice.sets("count", 5);
    await using socket = await openSocket(world.url, { token: bob.token });
    await socket.hears("stream.live");
    await socket.does("watch", { target: alice.address, properties: ["count"] });
    await socket.hears("property.changed", { value: 5 });
    await socket.hears("stream.live");
    const { reached, release } = hold("snapshot");
    await socket.does("watch", { target: alice.address, properties: ["count"], filter: "value < 6" });
    await reached;
    await alice.sets("count", 7);
    await socket.hears("property.changed", { value: 7 });
    release();
    await socket.hears("stream.live");
    await alice.sets("count", 4);
    await socket.hears("property.changed", { value: 4, skipped: undefined });
  });

  test("what one watch may show no more stays where another one of its stream shows it", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    await bob.sets("profile", { name: "Bob" });
    await alice.sets("count", 5);
    const rule = { who: ["anyone"], properties: ["*"], allow: ["read", "watch"] };
    await alice.grants(rule);
    await using socket = await openSocket(world.url, { token: bob.token });
    await socket.hears("stream.live");
    for (const wish of [{ reveal: ["profile"] }, {}]) {
      await socket.does("watch", { target: alice.address, properties: ["count"], ...wish });
      await socket.hears("property.changed", { value: 5 });
      await socket.hears("stream.live");
    }
    await alice.grants({ ...rule, reveal: ["profile"] });
    await alice.sets("count", 6);
    await socket.hears("property.changed", { value: 6 });
  });

  test("a poll is answered when nothing keeps it any more, though nothing happens", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    await alice.sets("count", 5);
    const { id } = await bob.subscribes({ target: alice.address });
    const { cursor } = (await bob.asks("GET", "/v1/poll")).body;
    const acknowledged = Promise.withResolvers<void>();
    holdingEnd = acknowledged.promise;
    const polling = bob.asks("GET", `/v1/poll?wait=1&after=${cursor}`);
    await delay(100);
    await alice.blocks(bob, "hard");
    await delay(1_200);
    acknowledged.resolve();
    const releasedMs = performance.now();
    const { events } = (await polling).body;
    expect(events.map(({ data }: Data) => data.id ?? data.name)).toContain(id);
    // The next bookmark would come after half a minute.
    expect(performance.now() - releasedMs).toBeLessThan(10_000);
  });
});

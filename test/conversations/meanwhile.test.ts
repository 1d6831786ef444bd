// What an owner decides in the very moment in which somebody comes back to watch: whoever comes is not left with what it may see no more.
import { describe, expect, test } from "vitest";
import type { Log } from "../../services/store/log.ts";
import { openSocket } from "./socket.ts";
import { aWorld } from "./world.ts";

/** A read of a node that is to come, which waits until it is let go. */
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
  });
  const world = aWorld("memory", { through });

  function hold(which: number): Hold {
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    holding = { left: which, reach: reached.resolve, released: released.promise };
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
});

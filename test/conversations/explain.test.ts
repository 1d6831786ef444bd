// Explain: an owner or the operator asks why somebody is told, or is not.
import { describe, expect, test } from "vitest";
import { aWorld, type Data, nodePath, type Person } from "./world.ts";

describe("why somebody is told", () => {
  const world = aWorld("memory");

  async function asks(owner: Person, watcher: Person, more = ""): Promise<Data> {
    const query = `watcher=${encodeURIComponent(watcher.address)}&property=travel${more}`;
    return (await owner.asks("GET", `${nodePath(owner.address)}/explain?${query}`)).body;
  }
  const stops = ({ steps }: Data): string[] =>
    steps.filter(({ passes }: Data) => !passes).map(({ step }: Data) => step);

  test("each thing that stands between an event and its watcher is named", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { revision } = await alice.sets("travel", { city: "Oslo" });
    expect(await asks(alice, bob)).toMatchObject({ isTold: false, revision });
    expect(stops(await asks(alice, bob))).toEqual(["subscription", "transport"]);
    await bob.subscribes({ target: alice.address, filter: 'value.city == "Rome"' });
    expect(stops(await asks(alice, bob))).toEqual(["filter", "transport"]);
    await bob.watches(alice, "travel");
    expect(await asks(alice, bob)).toMatchObject({ isTold: true });
    await alice.grants({ who: ["authenticated"], properties: ["presence"], allow: ["watch"] });
    const hidden = await asks(alice, bob);
    expect(hidden.isTold).toBe(false);
    expect(stops(hidden)).toContain("policy");
    await alice.blocks(bob);
    const blocked = await asks(alice, bob);
    expect(stops(blocked)).toContain("block");
    expect(JSON.stringify(blocked)).toContain(`by the block of ${bob.address}`);
    await alice.sets("travel", { city: "Rome" });
    expect(stops(await asks(alice, bob, `&revision=${revision}`))).toContain("conflation");
  });

  test("is nobody's business but the owner's and the operator's", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", { city: "Oslo" });
    await alice.blocks(bob);
    const query = `watcher=${bob.address}&property=travel`;
    const path = `${nodePath(alice.address)}/explain?${query}`;
    expect((await bob.asks("GET", path)).status).toBe(403);
    expect((await world.stranger.asks("GET", path)).status).toBe(401);
    const elsewhere = `${nodePath(bob.address)}/explain?${query}&node=${alice.address}`;
    expect((await bob.asks("GET", elsewhere)).status).toBe(403);
    const operators = `/v1/explain?${query}&node=${alice.address}`;
    expect((await bob.asks("GET", operators)).status).toBe(403);
    expect((await world.operator.asks("GET", operators)).body).toMatchObject({ isTold: false });
  });
});

// The directory: people are found by what they show, by those to whom they show it, and who finds is seen.
import { describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import { aWorld, type Data, longStages, type Person } from "./world.ts";

async function search(who: Person, wish: Record<string, string>): Promise<Data> {
  const path = `/v1/directory?${new URLSearchParams(wish)}`;
  // The first search begins the projection.
  return await until("a whole answer", async () => {
    const { status, body, text } = await who.asks("GET", path);
    if (status !== 200) throw new Error(text);
    return body.partial ? undefined : body;
  });
}

async function finds(who: Person, wish: string | Record<string, string>): Promise<string[]> {
  const { nodes } = await search(who, typeof wish === "string" ? { q: wish } : wish);
  return (nodes as Data[]).map(({ address }) => address).sort();
}

const inCity = (city: string): Record<string, string> => ({ where: `prop("travel").city == "${city}"` });

describe.each(longStages)("the directory on the %s log", (stage) => {
  const world = aWorld(stage);

  test("finds by words, whatever their case and their accents, and shows what may be seen", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("profile.name", "Zoë Ångström");
    await alice.sets("travel", { city: "Trondheim", purpose: "A conference on bridges" });
    await alice.sets("contact", { phone: "555 0123" });
    const { nodes } = await search(bob, { q: "zoe BRIDGES" });
    expect(nodes.map(({ address }: Data) => address)).toEqual([alice.address]);
    expect(nodes[0].properties).toEqual((await bob.reads(alice)).properties);
    expect(await finds(bob, "zoe tunnels")).toEqual([]);
    expect(await finds(bob, alice.address)).toEqual([alice.address]);
    expect(await finds(bob, "0123")).toEqual([]);
    expect(await finds(alice, "0123")).toEqual([alice.address]);
    await alice.sets("travel", { city: "Tromsø" });
    expect(await finds(bob, "bridges")).toEqual([]);
    expect(await finds(bob, "TROMSØ")).toEqual([alice.address]);
  });

  test("finds by an e-mail address where its owner shows it, and nowhere else", async () => {
    const email = `grace-${stage}@example.com`;
    const grace = await world.registers("grace", { email });
    const bob = await world.registers("bob");
    expect(await finds(bob, email)).toEqual([]);
    await grace.sets("contact", { email });
    expect(await finds(bob, email)).toEqual([]);
    await grace.grants({ who: ["authenticated"], properties: ["contact"], allow: ["read"] });
    expect(await finds(bob, email)).toEqual([grace.address]);
    expect(await finds(world.stranger, email)).toEqual([]);
    await grace.grants();
    expect(await finds(bob, email)).toEqual([]);
  });

  test("finds by an expression, with words or without", async () => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    await alice.sets("travel", { city: "Bergen", purpose: "sailing" });
    await bob.sets("travel", { city: "Bergen" });
    await bob.sets("seats", { free: 3 });
    expect(await finds(carol, inCity("Bergen"))).toEqual([alice.address, bob.address].sort());
    expect(await finds(carol, { ...inCity("Bergen"), q: "sailing" })).toEqual([alice.address]);
    expect(await finds(carol, { where: 'prop("seats").free >= 3 && node.startsWith("bob")' })).toContain(
      bob.address,
    );
    expect(
      await finds(carol, { where: 'prop("seats").free > 3 && prop("travel").city == "Bergen"' }),
    ).toEqual([]);
    expect(await finds(world.stranger, inCity("Bergen"))).toEqual([]);
  });

  test("shows a politely blocked asker what it would show if there were nobody", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await alice.sets("travel", { city: "Hammerfest" });
    const nothing = await search(bob, inCity("Nowhere"));
    expect(await finds(bob, inCity("Hammerfest"))).toEqual([alice.address]);
    await alice.blocks(bob);
    expect(await search(bob, inCity("Hammerfest"))).toEqual(nothing);
    expect(await search(bob, { q: alice.address })).toEqual(nothing);
    await alice.blocks(bob, "hard");
    expect(await search(bob, inCity("Hammerfest"))).toEqual(nothing);
    expect(await finds(carol, "hammerfest")).toEqual([alice.address]);
    await alice.unblocks(bob);
    expect(await finds(bob, inCity("Hammerfest"))).toEqual([alice.address]);
  });

  test("follows every decision of the owner, and types", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("hobby", "falconry");
    await alice.sets("contact", { phone: "4711" });
    expect(await finds(bob, "falconry")).toEqual([alice.address]);
    expect(await finds(world.stranger, "falconry")).toEqual([]);
    await alice.grants({ who: ["anyone"], properties: ["contact"], allow: ["read"] });
    expect(await finds(bob, "falconry")).toEqual([]);
    expect(await finds(world.stranger, "4711")).toEqual([alice.address]);
    await alice.asks("DELETE", `/v1/nodes/${alice.address}/policy`);
    expect(await finds(world.stranger, "4711")).toEqual([]);
    const body = { schema: { type: "string" }, visibility: "public" };
    await world.operator.asks("PUT", "/v1/types/hobby", { body });
    expect(await finds(world.stranger, "falconry")).toEqual([alice.address]);
    await world.operator.asks("PUT", "/v1/types/hobby", { body: { ...body, visibility: "private" } });
    expect(await finds(bob, "falconry")).toEqual([]);
    await world.operator.asks("DELETE", "/v1/types/hobby");
    expect(await finds(bob, "falconry")).toEqual([alice.address]);
  });

  test("keeps to an owner's own type once the domain has none of that name any more", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const body = (visibility: string): Data => ({ body: { schema: { type: "string" }, visibility } });
    await alice.asks("PUT", `/v1/nodes/${alice.address}/types/motto`, body("public"));
    await alice.sets("motto", "serendipity");
    await bob.sets("motto", "serendipity");
    expect(await finds(world.stranger, "serendipity")).toEqual([alice.address]);
    await world.operator.asks("PUT", "/v1/types/motto", body("private"));
    expect(await finds(world.stranger, "serendipity")).toEqual([]);
    expect(await finds(bob, "serendipity")).toEqual([bob.address]);
    await world.operator.asks("DELETE", "/v1/types/motto");
    expect(await finds(world.stranger, "serendipity")).toEqual([alice.address]);
    expect(await finds(alice, "serendipity")).toEqual([alice.address, bob.address].sort());
  });

  test("discloses nothing beyond a token's scopes, and asks for what an owner wants revealed", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", { city: "Kirkenes" });
    await alice.sets("profile.name", "Kirkenes Alice");
    const token = async (scopes: string[]): Promise<Person> =>
      bob.with((await bob.asks("POST", "/v1/tokens", { body: { name: "t", scopes } })).body.token);
    const narrow = await token(["read:travel"]);
    const { nodes } = await search(narrow, { q: "kirkenes" });
    expect(Object.keys(nodes[0].properties)).toEqual(["travel"]);
    expect(await finds(narrow, `kirkenes ${alice.address} alice`)).toEqual([alice.address]);
    const writer = await token(["write"]);
    const refused = await writer.asks("GET", "/v1/directory?q=kirkenes");
    expect(refused).toMatchObject({ status: 403, body: { code: "scope-missing" } });
    await alice.grants({
      who: ["authenticated"],
      properties: ["travel"],
      allow: ["read"],
      reveal: ["contact"],
    });
    await bob.sets("contact", { phone: "1" });
    expect(await finds(bob, "kirkenes")).toEqual([]);
    expect(await finds(bob, { q: "kirkenes", reveal: "contact" })).toEqual([alice.address]);
  });

  test("never shows a value after its lease, nor a node that is gone", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.creates(`${alice.address}/van`);
    await alice.sets("place", { town: "Narvik" }, { at: `${alice.address}/van`, lease: { seconds: 1 } });
    expect(await finds(bob, "narvik")).toEqual([`${alice.address}/van`]);
    await until("the end of the lease", async () => (await finds(bob, "narvik")).length === 0);
    await alice.sets("place", { town: "Bodø" }, { at: `${alice.address}/van` });
    expect(await finds(bob, "bodø")).toEqual([`${alice.address}/van`]);
    await alice.asks("DELETE", `/v1/nodes/${encodeURIComponent(`${alice.address}/van`)}`);
    expect(await finds(bob, "bodø")).toEqual([]);
  });

  test("gives pages in one order, and says whether there is more", async () => {
    const owner = await world.registers("fleet");
    const bob = await world.registers("bob");
    for (let index = 0; index < 7; index++) {
      await owner.creates(`${owner.address}/boat-${index}`);
      await owner.sets("harbour", { name: "Vardø" }, { at: `${owner.address}/boat-${index}` });
    }
    await search(bob, { q: "vardø" });
    const all: string[] = [];
    let after = "";
    const sizes: number[] = [];
    do {
      const page = await search(bob, { q: "vardø", limit: "3", ...(after && { after }) });
      all.push(...(page.nodes as Data[]).map(({ address }) => address));
      sizes.push(page.nodes.length);
      after = page.next ?? "";
    } while (after !== "");
    expect(sizes).toEqual([3, 3, 1]);
    expect(new Set(all).size).toBe(7);
    const whole = await search(owner, { q: "vardø", limit: "7" });
    expect((whole.nodes as Data[]).map(({ address }) => address)).toEqual(all);
    expect(whole.next).toBeUndefined();
  });

  test("gives fewer nodes where they are large, and none of them twice or never", async () => {
    const owner = await world.registers("hoard");
    const bob = await world.registers("bob");
    for (let index = 0; index < 5; index++) {
      const at = `${owner.address}/chest-${index}`;
      await owner.creates(at);
      const text = `treasure ${"x".repeat(60_000)}`;
      for (let part = 0; part < (index === 2 ? 20 : 6); part++)
        await owner.sets(`part-${part}`, text, { at });
    }
    const found: string[] = [];
    const sizes: number[] = [];
    let after = "";
    do {
      const page = await search(bob, { q: "treasure", limit: "5", ...(after && { after }) });
      found.push(...(page.nodes as Data[]).map(({ address }) => address));
      sizes.push(page.nodes.length);
      after = page.next ?? "";
    } while (after !== "");
    expect(found.toSorted()).toEqual([0, 1, 2, 3, 4].map((index) => `${owner.address}/chest-${index}`));
    expect(Math.max(...sizes)).toBeLessThan(4);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
  });

  test("tells an owner of who finds it, before the finder, once a minute as of any read", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", { city: "Svolvær" });
    await alice.listens();
    await finds(bob, "svolvær");
    await alice.hears("watcher.fetched", { watcher: bob.address, properties: ["travel"], via: "rest" });
    await finds(bob, "svolvær");
    await finds(bob, "nothing of the kind");
    await alice.hearsNothing();
  });

  test("refuses what it cannot answer, and says what to do", async () => {
    const bob = await world.registers("bob");
    const refuses = async (query: string, status: number, code: string): Promise<void> =>
      expect(await bob.asks("GET", `/v1/directory${query}`)).toMatchObject({ status, body: { code } });
    await refuses("", 400, "bad-request");
    await refuses("?q=", 400, "bad-request");
    await refuses("?q=%21%3F", 400, "bad-request");
    await refuses("?q=a&limit=0", 400, "bad-request");
    await refuses("?q=a&limit=101", 400, "bad-request");
    await refuses("?q=a&after=here", 400, "bad-cursor");
    await refuses(`?where=${encodeURIComponent("prop(node).x == 1")}`, 422, "bad-filter");
    await refuses(`?where=${encodeURIComponent('prop("No").x == 1')}`, 422, "bad-filter");
    await refuses(`?where=${encodeURIComponent("value == 1")}`, 422, "bad-filter");
    await refuses(`?where=${encodeURIComponent("1 +")}`, 422, "bad-filter");
    await refuses(`?where=${encodeURIComponent("1")}`, 422, "bad-filter");
    expect(await bob.asks("POST", "/v1/directory?q=a")).toMatchObject({ status: 405 });
    expect(await bob.with("wrong").asks("GET", "/v1/directory?q=a")).toMatchObject({ status: 401 });
  });
});

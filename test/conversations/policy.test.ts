// Policies: what an owner grants is what others see, at once and on every path.
import { describe, expect, test } from "vitest";
import { openSocket } from "./socket.ts";
import { aWorld, type Data, type Heard, nodePath, type Person, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const names = (heard: readonly Heard[]): string[] => heard.map(({ event }) => event.data.name);
const policyPath = (who: Person): string => `${nodePath(who.address)}/policy`;
const anyoneReads = (...properties: string[]): Data => ({
  who: ["anyone"],
  properties,
  allow: ["read", "watch"],
});

describe.each(stages)("policies on the %s log", (stage) => {
  const world = aWorld(stage);

  test("without one the types' defaults hold", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    expect(await alice.asks("GET", policyPath(alice))).toMatchObject({
      status: 404,
      body: { code: "not-found" },
    });
    await alice.sets("travel", oslo);
    await alice.sets("contact", { email: "alice@example.com" });
    await alice.sets("for-sale", { item: "bike" });
    expect(Object.keys((await bob.reads(alice)).properties).sort()).toEqual(["for-sale", "travel"]);
    expect(Object.keys((await world.stranger.reads(alice)).properties)).toEqual(["for-sale"]);
  });

  test("it is kept as it was written, and taken back", async () => {
    const alice = await world.registers("alice");
    const rules = [
      { who: ["bob@localhost", "@example.com", "contacts"], properties: ["travel"], allow: ["read"] },
      { who: ["anyone"], properties: ["profile.*"], allow: ["watch"], confirm: true, reveal: ["contact"] },
    ];
    const put = await alice.asks("PUT", policyPath(alice), { body: { rules } });
    expect(put).toMatchObject({ status: 200, body: { rules } });
    expect((await alice.asks("GET", policyPath(alice))).body).toEqual({ rules });
    expect((await alice.asks("DELETE", policyPath(alice))).status).toBe(204);
    expect((await alice.asks("GET", policyPath(alice))).status).toBe(404);
  });

  test("it grants what it says, to whom it says, and nothing else", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await alice.patches({ set: { travel: { value: oslo }, contact: { value: { phone: "1" } } } });
    await alice.sets("for-sale", { item: "bike" });
    await alice.grants({ who: [bob.address], properties: ["contact"], allow: ["read"] });
    expect(await bob.sees(alice, "contact")).toEqual({ phone: "1" });
    expect(await bob.sees(alice, "travel")).toBeUndefined();
    expect(await carol.sees(alice, "contact")).toBeUndefined();
    expect(await carol.sees(alice, "for-sale")).toBeUndefined();
    expect(await alice.sees(alice, "travel")).toEqual(oslo);
    expect((await bob.watches(alice)).snapshot).toEqual([]);
    await alice.grants({ who: ["@localhost"], properties: ["*"], allow: ["read"] });
    expect(await carol.sees(alice, "travel")).toEqual(oslo);
    expect((await world.stranger.asks("GET", nodePath(alice.address))).status).toBe(404);
    await alice.grants();
    expect((await carol.asks("GET", nodePath(alice.address))).status).toBe(404);
  });

  test("an open stream gains and loses with it, at once", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { travel: { value: oslo }, presence: { value: { status: "online" } } } });
    await alice.grants({ who: [bob.address], properties: ["travel"], allow: ["watch"] });
    expect(names((await bob.watches(alice)).snapshot)).toEqual(["travel"]);
    await alice.grants({ who: ["authenticated"], properties: ["presence"], allow: ["watch"] });
    await bob.hears("property.removed", { name: "travel", reason: "deleted" });
    await bob.hears("property.changed", { name: "presence", reason: "snapshot" });
    await alice.sets("travel", rome);
    await bob.hearsNothing();
    await alice.grants(anyoneReads("*"));
    await bob.hears("property.changed", { name: "travel", value: rome, reason: "snapshot" });
    await bob.hearsNothing();
    await alice.sets("travel", oslo);
    await bob.hears("property.changed", { name: "travel", value: oslo, reason: "set" });
    // What grants the same again is no news.
    await alice.grants({ who: ["authenticated"], properties: ["*"], allow: ["watch"] });
    await bob.hearsNothing();
  });

  test("whoever comes back after a change of it begins anew", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { travel: { value: oslo }, presence: { value: { status: "online" } } } });
    const { live } = await bob.watches(alice);
    await bob.leaves();
    await alice.grants({ who: [bob.address], properties: ["presence"], allow: ["watch"] });
    const { snapshot } = await bob.watches(alice, undefined, { after: live.cursor });
    expect(snapshot[0]?.event.type).toBe("dev.tidings.stream.reset");
    expect(names(snapshot.slice(1)).filter((name) => name !== "for-sale")).toEqual(["presence"]);
  });

  test("and so does whoever says in a socket's frame where it left off", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: { travel: { value: oslo }, presence: { value: { status: "online" } } } });
    const { live } = await bob.watches(alice);
    await bob.leaves();
    await alice.grants({ who: [bob.address], properties: ["presence"], allow: ["watch"] });
    await using socket = await openSocket(world.url, { token: bob.token });
    await socket.hears("stream.live");
    const { subscription } = await socket.does("watch", { target: alice.address, after: live.cursor });
    await socket.hears("stream.reset", { subscription });
    await socket.hears("property.changed", { name: "presence", reason: "snapshot" });
    await socket.hears("stream.live", { subscription });
  });

  test("a roster says who counts as a contact", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await alice.sets("travel", oslo);
    await carol.watches(alice, "travel");
    await alice.sets("contacts", { members: [bob.address.toUpperCase()] });
    await carol.hears("property.removed", { name: "travel" });
    expect(await bob.sees(alice, "travel")).toEqual(oslo);
    expect(await carol.sees(alice, "travel")).toBeUndefined();
    expect(await bob.sees(alice, "contacts")).toBeUndefined();
    await alice.sets("contacts", { members: ["@localhost"] });
    await carol.hears("property.changed", { name: "travel", value: oslo });
  });

  test("a type that becomes more or less open acts on open streams", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const typed = async (who: Person, path: string, visibility: string): Promise<void> => {
      const body = { schema: { type: "string" }, visibility };
      expect((await who.asks("PUT", path, { body })).status).toBeLessThan(300);
    };
    const own = `${nodePath(alice.address)}/types/mood`;
    await typed(alice, own, "contacts");
    await alice.sets("mood", "fine");
    const { live } = await bob.watches(alice, "mood");
    await typed(alice, own, "private");
    await bob.hears("property.removed", { name: "mood" });
    await alice.sets("mood", "better");
    await bob.hearsNothing();
    await typed(alice, own, "public");
    await bob.hears("property.changed", { name: "mood", value: "better", reason: "snapshot" });
    await typed(world.operator, "/v1/types/mood", "private");
    await bob.hears("property.removed", { name: "mood" });
    await world.operator.asks("DELETE", "/v1/types/mood");
    await bob.hears("property.changed", { name: "mood", value: "better" });
    await typed(alice, own, "private");
    await bob.leaves();
    const { snapshot } = await bob.watches(alice, "mood", { after: live.cursor });
    expect(snapshot.map(({ event }) => event.type)).toEqual(["dev.tidings.stream.reset"]);
  });

  test("writing is granted like anything else, with its leases", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const forbidden = { status: 403, code: "forbidden" };
    await expect(bob.puts("travel", rome, { at: alice.address })).rejects.toMatchObject(forbidden);
    await alice.grants({ who: [bob.address], properties: ["travel"], allow: ["write"] });
    const set = await bob.sets("travel", rome, { at: alice.address, lease: { seconds: 60 } });
    expect(set).toMatchObject({ node: alice.address, by: bob.address });
    expect(await alice.sees(alice, "travel")).toEqual(rome);
    expect(await bob.sees(alice, "travel")).toBeUndefined();
    await expect(bob.puts("presence", {}, { at: alice.address })).rejects.toMatchObject(forbidden);
    const both = { set: { travel: { value: oslo }, presence: { value: {} } } };
    await expect(bob.patches(both, { at: alice.address })).rejects.toMatchObject({ code: "forbidden" });
    await bob.renews(set.lease?.id as string);
    await alice.grants();
    await expect(bob.renews(set.lease?.id as string)).rejects.toMatchObject({ code: "lease-ended" });
    await alice.blocks(bob, "hard");
    const blocked = { status: 403, code: "blocked" };
    await expect(bob.puts("travel", rome, { at: alice.address })).rejects.toMatchObject(blocked);
  });

  test("a subscription is pending until something is granted, and then told so", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("contact", { phone: "1" });
    const made = await bob.subscribes({ target: alice.address, properties: ["contact"] });
    expect(made.state).toBe("pending");
    await bob.listens();
    await alice.grants({ who: [bob.address], properties: ["contact"], allow: ["watch"] });
    await bob.hears("subscription.active", { id: made.id, target: alice.address });
    await bob.hears("property.changed", { name: "contact", value: { phone: "1" }, reason: "snapshot" });
    expect((await bob.asks("GET", `/v1/subscriptions/${made.id}`)).body.state).toBe("active");
  });

  test("what is no policy is refused with a pointer to the place", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const good = { who: ["anyone"], properties: ["*"], allow: ["read"] };
    const refuses = async (rules: unknown, code: string): Promise<void> =>
      expect((await alice.asks("PUT", policyPath(alice), { body: { rules } })).body).toMatchObject({ code });
    await refuses([{ ...good, who: [] }], "bad-request");
    await refuses([{ ...good, allow: ["fly"] }], "bad-request");
    await refuses([{ ...good, extra: 1 }], "bad-request");
    await refuses([{ ...good, who: ["@not a domain"] }], "bad-address");
    await refuses([good, { ...good, who: ["everybody"] }], "bad-address");
    await refuses([{ ...good, properties: ["**"] }], "bad-name");
    await refuses([{ ...good, reveal: ["profile.*"] }], "bad-name");
    await refuses("all", "bad-request");
    await refuses(
      Array.from({ length: 101 }, () => good),
      "bad-request",
    );
    const pointed = await alice.asks("PUT", policyPath(alice), {
      body: { rules: [good, { ...good, who: ["everybody"] }] },
    });
    expect(pointed.body.errors[0].pointer).toBe("/rules/1/who");
    for (const [method, body] of [["GET"], ["PUT", { rules: [] }], ["DELETE"]] as const) {
      expect(await bob.asks(method, policyPath(alice), body && { body })).toMatchObject({ status: 403 });
      expect(await world.stranger.asks(method, policyPath(alice), body && { body })).toMatchObject({
        status: 401,
      });
    }
    expect((await alice.asks("GET", policyPath(alice))).status).toBe(404);
  });
});

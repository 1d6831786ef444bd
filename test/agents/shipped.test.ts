// The shipped agents, each as its owner meets it.
import { describe, expect, it } from "vitest";
import type { Effect, Json } from "../../agents/agent.ts";
import { testAgent } from "../../agents/agent.ts";
import away from "../../agents/shipped/away.ts";
import bridge from "../../agents/shipped/bridge.ts";
import digest from "../../agents/shipped/digest.ts";
import marketplace from "../../agents/shipped/marketplace.ts";
import presenceKeeper from "../../agents/shipped/presence-keeper.ts";
import travelBuddy from "../../agents/shipped/travel-buddy.ts";

const [owner, bob, carol] = ["owner@localhost", "bob@localhost", "carol@localhost"];
const changed = (name: string, value: Json, node = owner) => ({
  type: "property.changed" as const,
  node,
  name,
  value,
});
const letter = (from: string, more = {}) => ({
  type: "message.received" as const,
  message: { from },
  ...more,
});
const letters = (effects: readonly Effect[]) =>
  effects.flatMap((one) => (one.type === "message" ? [`${one.to}: ${one.content}`] : []));

describe("away", () => {
  const config = { text: "Back on Monday." };

  it("answers once a sender and absence, and no program", async () => {
    const test = testAgent(away, { config });
    await test.emit(changed("presence", { status: "online" }));
    await test.emit(letter(bob));
    expect(test.effects).toEqual([]);
    await test.emit(changed("presence", { status: "away" }));
    await test.emit(letter(bob));
    await test.redeliver();
    await test.emit(letter(bob));
    await test.emit(letter(carol));
    await test.emit(letter("robot@localhost", { hops: 1 }));
    expect(letters(test.effects)).toEqual([`${bob}: Back on Monday.`, `${carol}: Back on Monday.`]);
    await test.emit(changed("presence", { status: "online" }));
    await test.emit(changed("presence", { show: "xa" }));
    await test.emit(letter(bob));
    expect(letters(test.effects)).toHaveLength(3);
  });

  it("answers once although it crashes on the way", async () => {
    const test = testAgent(away, { config });
    test.crashAfterStep("answer");
    await test.emit(letter(bob));
    await test.redeliver();
    await test.emit(letter(bob));
    expect(letters(test.effects)).toEqual([`${bob}: Back on Monday.`]);
  });

  it("leaves a note where presence lapsed, unless there is one or the owner is back", async () => {
    const note = { status: "offline", note: "Not seen for a while" };
    const test = testAgent(away);
    await test.emit({ ...changed("presence", { status: "online" }), lease: { seconds: 60 } });
    await test.advance("2m");
    expect(test.node(owner)).toEqual({ presence: note });
    const byDefault = { seconds: 60, default: { status: "offline" } };
    await test.emit({ ...changed("presence", { status: "online" }), lease: byDefault });
    await test.advance("2m");
    expect(test.node(owner)).toEqual({ presence: note });
    const said = { seconds: 60, default: { status: "away", note: "Asleep" } };
    await test.emit({ ...changed("presence", { status: "online" }), lease: said });
    await test.advance("2m");
    expect(test.node(owner)).toEqual({ presence: said.default });
  });
});

it("away leaves no note where the owner is back before it comes to it", async () => {
  const test = testAgent(away);
  const back = { status: "online" };
  await test.emit(changed("presence", { status: "offline" }));
  await test.emit({ ...changed("presence", { status: "offline" }), reason: "expired", revision: 1 });
  const before = test.effects.length;
  const slow = testAgent({
    ...away,
    async handle(event, ctx) {
      // Between the event and the agent's answer the owner sets it anew.
      if (event.type === "property.changed") await ctx.set({ node: owner, name: "presence" }, back);
      await away.handle(event, ctx);
    },
  });
  await slow.emit({ ...changed("presence", { status: "offline" }), reason: "expired" });
  expect(before).toBe(1);
  expect(slow.node(owner)).toEqual({ presence: back });
});

describe("travel-buddy", () => {
  const oslo = { city: "Oslo", from: "2026-12-01", until: "2026-12-05" };
  const world = { now: "2026-11-23T09:00:00Z", contacts: [bob, carol] };

  it("tells both who will be in the same city at the same time, once", async () => {
    const test = testAgent(travelBuddy, world);
    await test.emit(changed("travel", { city: "oslo", from: "2026-12-04", to: "2026-12-09" }, bob));
    await test.emit(changed("travel", { city: "Rome" }, carol));
    expect(test.effects).toEqual([]);
    await test.emit(changed("travel", oslo));
    await test.redeliver();
    await test.emit(changed("travel", { ...oslo, purpose: "conference" }));
    expect(letters(test.effects)).toEqual([
      `${owner}: ${bob} will be in oslo too from 2026-12-04 until 2026-12-09.`,
      `${bob}: ${owner} will be in Oslo too from 2026-12-01 until 2026-12-05.`,
    ]);
    await test.emit(changed("travel", { from: "Rome", to: "Oslo", until: "2026-12-03" }, carol));
    expect(letters(test.effects)).toHaveLength(4);
  });

  it("tells nothing of stays that do not meet, are over, or are gone; nor contacts who are not to be told", async () => {
    const test = testAgent(travelBuddy, { ...world, config: { tellContacts: false } });
    await test.emit(changed("travel", oslo));
    await test.emit(changed("travel", { city: "Oslo", from: "2026-12-07" }, bob));
    await test.emit(changed("travel", { city: "Oslo", until: "2026-11-20" }, carol));
    await test.emit(changed("travel", { from: "Hamburg", seats: 2 }, carol));
    expect(test.effects).toEqual([]);
    await test.emit({ type: "property.removed", node: owner, name: "travel" });
    await test.emit(changed("travel", oslo, bob));
    expect(test.effects).toEqual([]);
    await test.emit(changed("travel", oslo));
    expect(letters(test.effects)).toEqual([
      `${owner}: ${bob} will be in Oslo too from 2026-12-01 until 2026-12-05.`,
    ]);
  });
});

describe("marketplace", () => {
  const bike = { item: "Bike", price: 50, currency: "EUR" };
  const wish = { item: "bike", priceMax: 80, currency: "EUR", city: "Berlin" };
  const nodes = {
    [`${bob}/garage`]: { "for-sale": { ...bike, description: "Stolen twice" } },
    [carol]: { "looking-for": wish },
    "dora@localhost": { "looking-for": { ...wish, priceMax: 20 } },
    "emil@localhost": { "looking-for": { text: "A fourth for doubles" } },
  };
  const entered = (test: ReturnType<typeof testAgent>, node: string, name: string) => {
    const value = test.node(node)[name] ?? null;
    const property = { node, name, value, revision: 1, updated: "", by: node };
    return test.emit({ type: "match.entered", node, properties: { [name]: property } });
  };

  it("introduces an offer and a wish that fit, once, whichever came last", async () => {
    const test = testAgent(marketplace, { nodes });
    await entered(test, `${bob}/garage`, "for-sale");
    await test.redeliver();
    await entered(test, carol, "looking-for");
    expect(letters(test.effects)).toEqual([
      `${carol}: You look for "bike": see ${bob}/garage.`,
      `${bob}: You offer "Bike": ${carol} may want it.`,
    ]);
  });

  it("tells neither what the other wrote", async () => {
    const test = testAgent(marketplace, { nodes });
    await entered(test, carol, "looking-for");
    expect(letters(test.effects)).toHaveLength(2);
    expect(JSON.stringify(test.effects)).not.toMatch(/Stolen|Berlin|50|80/);
  });

  it("introduces nobody to themselves", async () => {
    const test = testAgent(marketplace, {
      nodes: { [`${bob}/garage`]: { "for-sale": bike }, [bob]: { "looking-for": wish } },
    });
    await entered(test, bob, "looking-for");
    expect(test.effects).toEqual([]);
  });

  it.each([
    ["another city", { city: "Oslo" }],
    ["another currency", { currency: "NOK" }],
    ["an offer that is over", { until: "2025-12-01" }],
    ["another thing", { item: "boat" }],
    ["a price that is too high", { price: 81 }],
  ])("does not introduce %s", async (_, other) => {
    const test = testAgent(marketplace, {
      nodes: { [bob]: { "for-sale": { ...bike, ...other } }, [carol]: { "looking-for": wish } },
    });
    await entered(test, bob, "for-sale");
    expect(test.effects).toEqual([]);
  });
});

describe("presence-keeper", () => {
  const merged = (status: string, ...devices: string[]) => ({ status, devices });

  it("makes one presence of the devices", async () => {
    const test = testAgent(presenceKeeper);
    await test.emit(changed("presence", { status: "online", device: "desk" }));
    await test.emit(changed("presence", { status: "away", device: "phone" }));
    expect(test.node(owner)["presence.merged"]).toEqual(merged("online", "desk", "phone"));
    // The phone's lease ended, and the desk's view is seen again.
    await test.emit({ ...changed("presence", { status: "busy", device: "desk" }), reason: "expired" });
    expect(test.node(owner)["presence.merged"]).toEqual(merged("busy", "desk"));
    await test.emit({ type: "property.removed", node: owner, name: "presence", reason: "expired" });
    expect(test.node(owner)["presence.merged"]).toEqual(merged("offline"));
  });

  it("turns a device that nobody has touched to away, in its own view and lease", async () => {
    const test = testAgent(presenceKeeper, { config: { idleMinutes: 10 } });
    const lease = { seconds: 3600, id: "desk-lease" };
    await test.emit({
      ...changed("presence", { status: "online", device: "desk", idleSeconds: 120 }),
      lease,
    });
    await test.advance("7m");
    expect(test.node(owner).presence).toMatchObject({ status: "online" });
    await test.advance("1m");
    expect(test.effects).toContainEqual({
      type: "set",
      node: owner,
      name: "presence",
      value: { status: "away", device: "desk", idleSeconds: 120 },
      lease,
      view: "desk",
    });
    expect(test.node(owner)["presence.merged"]).toEqual(merged("away", "desk"));
    await test.emit(changed("presence", { status: "online", device: "desk" }));
    await test.emit(changed("presence", { status: "busy", device: "desk" }));
    expect(test.effects).toContainEqual({ type: "cancel", name: "idle desk" });
    await test.advance("1h");
    expect(test.node(owner).presence).toMatchObject({ status: "busy" });
  });
});

describe("digest", () => {
  it("tells once a day who wanted to know, and nothing on other days", async () => {
    const test = testAgent(digest, { now: "2026-11-23T09:00:00Z", config: { at: "18:30" } });
    await test.emit({ type: "started" });
    await test.emit({ type: "watcher.started", watcher: bob, properties: ["travel"] });
    await test.emit({ type: "watcher.fetched", watcher: bob, properties: ["travel", "presence"] });
    await test.emit({ type: "watcher.pending", watcher: carol, properties: ["*"] });
    await test.emit({ type: "watcher.ended", watcher: carol });
    expect(letters(test.effects)).toEqual([]);
    await test.advance("9h");
    expect(letters(test.effects)).toEqual([]);
    await test.advance("1h");
    const account = `${owner}: Who wanted to know of you:
- ${bob}: travel, presence (started, fetched, 2 times)
- ${carol}: * (pending)`;
    expect(letters(test.effects)).toEqual([account]);
    await test.redeliver();
    await test.advance("P3D");
    expect(letters(test.effects)).toEqual([account]);
    await test.emit({ type: "watcher.fetched", watcher: bob, properties: ["travel"] });
    await test.advance("P1D");
    expect(letters(test.effects)).toHaveLength(2);
  });
});

describe("bridge", () => {
  const config = { url: "https://example.com/hook", names: ["travel"], follow: [bob], token: "secret" };

  it("posts each change of what it was told to mirror, with a key and its token", async () => {
    const asked: unknown[] = [];
    const test = testAgent(bridge, {
      config,
      fetch(wish) {
        asked.push(wish.headers);
        return { status: 204 };
      },
    });
    await test.emit(changed("travel", { city: "Oslo" }));
    await test.redeliver();
    await test.emit(changed("presence", { status: "online" }));
    await test.emit(changed("travel", { city: "Rome" }, carol));
    await test.emit({ type: "property.removed", node: bob, name: "travel" });
    const posts = test.effects.flatMap((one) => (one.type === "fetch" ? [JSON.parse(one.body ?? "")] : []));
    expect(posts).toMatchObject([
      { node: owner, name: "travel", value: { city: "Oslo" }, reason: "set" },
      { node: bob, name: "travel", reason: "deleted" },
    ]);
    expect(asked[0]).toEqual({
      authorization: "Bearer secret",
      "content-type": "application/json",
      "idempotency-key": expect.stringMatching(/^agent-/),
    });
  });

  it("tries again what was not taken, before the next of the same node", async () => {
    let isUp = false;
    const test = testAgent(bridge, { config, retries: true, fetch: () => ({ status: isUp ? 200 : 503 }) });
    await test.emit(changed("travel", 1));
    await test.emit(changed("travel", 2));
    isUp = true;
    await test.advance("1m");
    const values = test.effects.flatMap((one) =>
      one.type === "fetch" ? [JSON.parse(one.body ?? "").value] : [],
    );
    expect(values).toEqual([1, 1, 2]);
    expect(test.dead).toEqual([]);
  });
});

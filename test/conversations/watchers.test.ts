// Who wants to know: whoever watches or reads is made known to the watched, before it is told anything.
import { describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import { openSocket } from "./socket.ts";
import { aWorld, type Data, type Heard, nodePath, type Person, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const local = { by: "local-account" };
const watchersPath = (who: Person): string => `${nodePath(who.address)}/watchers`;
const told = (heard: readonly Heard[]): string[] =>
  heard.map(({ event }) => event.type.replace("dev.tidings.", ""));

describe.each(stages)("who wants to know, on the %s log", (stage) => {
  const world = aWorld(stage);

  /** Alice, who has travelled and listens for who asks, and somebody else. */
  async function aPair(): Promise<[Person, Person]> {
    const alice = await world.registers("alice");
    await alice.sets("travel", oslo);
    await alice.listens({ withoutBell: true });
    return [alice, await world.registers("bob")];
  }
  const lists = async (who: Person): Promise<Data[]> =>
    (await who.asks("GET", watchersPath(who))).body.watchers;
  const answers = async (who: Person, watcher: Person, body: Data): Promise<Data> =>
    await who.asks("PUT", `${watchersPath(who)}/${encodeURIComponent(watcher.address)}`, { body });
  /** Where a watch stands without anything that can be told apart: not even the bell. */
  const quietly = { withoutBell: true } as const;

  test("a read is told once a minute for each property, with who it was", async () => {
    const [alice, bob] = await aPair();
    await alice.sets("presence", { status: "online" });
    for (let n = 0; n < 3; n++) await bob.gets(alice, "travel");
    const notice = await alice.hears("watcher.fetched");
    expect(notice.event).toMatchObject({
      source: `/nodes/${alice.address}`,
      data: { watcher: bob.address, properties: ["travel"], revealed: {}, verified: local, via: "rest" },
    });
    await bob.reads(alice);
    await alice.hears("watcher.fetched", { properties: ["presence"] });
    await bob.asks("GET", `/v1/poll?watch=${alice.address}:for-sale`);
    await alice.hears("watcher.fetched", { properties: ["for-sale"], via: "poll" });
    await alice.gets(alice, "travel");
    expect(await lists(alice)).toMatchObject([
      {
        watcher: bob.address,
        state: "fetched",
        properties: ["for-sale", "presence", "travel"],
        lastFetch: expect.any(String),
        fetches: 3,
      },
    ]);
  });

  test("a watch of the moment is told when it begins and when it ends", async () => {
    const [alice, bob] = await aPair();
    await bob.watches(alice, "travel", quietly);
    const started = await alice.hears("watcher.started", { watcher: bob.address, via: "sse" });
    expect(started.event.data).not.toHaveProperty("subscription");
    expect(await lists(alice)).toMatchObject([
      { watcher: bob.address, state: "active", properties: ["travel"], verified: local },
    ]);
    await bob.leaves();
    await alice.hears("watcher.ended", { watcher: bob.address, properties: ["travel"] });
    expect(await lists(alice)).toEqual([]);
    await using socket = await openSocket(world.url, { token: bob.token });
    await socket.does("watch", { target: alice.address, properties: ["presence"] });
    await alice.hears("watcher.started", { properties: ["presence"], via: "websocket" });
  });

  test("a subscription is told once, however often its watcher comes and goes", async () => {
    const [alice, bob] = await aPair();
    const { id } = await bob.subscribes({ target: alice.address, properties: ["travel"] });
    await alice.hears("watcher.started", { watcher: bob.address, subscription: id, properties: ["travel"] });
    for (let n = 0; n < 2; n++) {
      expect((await bob.listens()).snapshot).toHaveLength(1);
      await bob.leaves();
    }
    await bob.asks("PATCH", `/v1/subscriptions/${id}`, { body: { properties: ["travel", "presence"] } });
    await alice.hears("watcher.started", { subscription: id, properties: ["travel", "presence"] });
    expect(await lists(alice)).toMatchObject([{ subscriptions: [id], via: "subscription" }]);
    await bob.asks("DELETE", `/v1/subscriptions/${id}`);
    await alice.hears("watcher.ended", { subscription: id });
  });

  test("whoever was away hears of it when they come back", async () => {
    const [alice, bob] = await aPair();
    await alice.leaves();
    const { live } = await alice.listens(quietly);
    await alice.leaves();
    await bob.gets(alice, "travel");
    const { snapshot } = await alice.listens({ ...quietly, after: live.cursor });
    expect(told(snapshot)).toEqual(["watcher.fetched"]);
  });

  test("the notice lies before the first value in the log", async () => {
    const [alice, bob] = await aPair();
    const { snapshot } = await bob.watches(alice, "travel", quietly);
    const notice = await alice.hears("watcher.started");
    expect(snapshot).toHaveLength(1);
    await alice.sets("travel", rome);
    const value = await bob.hears("property.changed", { value: rome });
    const position = ({ event }: Heard): number => Number(event.id.split("-")[1]);
    expect(position(notice)).toBeLessThan(position(value));
  });

  test("whoever has no token is counted, and named nowhere", async () => {
    const [alice] = await aPair();
    await alice.sets("for-sale", { item: "bike" });
    for (let n = 0; n < 3; n++) await world.stranger.gets(alice, "for-sale");
    const notice = await alice.hears("watcher.fetched", { watcher: "anonymous" });
    expect(notice.event.data).not.toHaveProperty("verified");
    expect(await lists(alice)).toMatchObject([{ watcher: "anonymous", state: "fetched", fetches: 1 }]);
  });

  test("what was asked in vain is seen by the owner only", async () => {
    const [alice, bob] = await aPair();
    await alice.sets("contact", { phone: "1" });
    await bob.listens();
    expect(await bob.sees(alice, "contact")).toBeUndefined();
    await alice.hears("watcher.denied", { watcher: bob.address, properties: ["contact"] });
    await alice.blocks(bob);
    expect(await bob.sees(alice, "travel")).toBeUndefined();
    await alice.hears("watcher.denied", { watcher: bob.address, properties: ["travel"] });
    const { id } = await bob.subscribes({ target: alice.address });
    expect((await lists(alice))[0]).toMatchObject({ watcher: bob.address, state: "blocked" });
    await alice.unblocks(bob);
    const heard = await bob.hearsThrough("subscription.active");
    expect(heard.at(-1)?.event.data).toMatchObject({ id });
    await alice.hearsThrough("watcher.started");
    expect((await bob.asks("GET", watchersPath(alice))).status).toBe(403);
  });

  describe("with a rule that asks for confirmation", () => {
    async function anAsker(): Promise<[Person, Person, Data]> {
      const [alice, bob] = await aPair();
      await alice.grants({
        who: ["authenticated"],
        properties: ["travel"],
        allow: ["read", "watch"],
        confirm: true,
      });
      const made = await bob.subscribes({ target: alice.address, properties: ["travel"] });
      expect(made.state).toBe("pending");
      const pending = await alice.hears("watcher.pending", { watcher: bob.address, subscription: made.id });
      expect(pending.event.data.properties).toEqual(["travel"]);
      await bob.listens();
      return [alice, bob, made];
    }

    test("a watcher waits until it is allowed", async () => {
      const [alice, bob, made] = await anAsker();
      expect(await bob.sees(alice, "travel")).toBeUndefined();
      expect((await lists(alice))[0]).toMatchObject({ watcher: bob.address, state: "pending" });
      await bob.hearsNothing();
      expect(await answers(alice, bob, { decision: "allow" })).toMatchObject({
        status: 200,
        body: { watcher: bob.address, decision: "allow" },
      });
      await bob.hears("subscription.active", { id: made.id });
      await bob.hears("property.changed", { name: "travel", value: oslo, reason: "snapshot" });
      expect(await bob.sees(alice, "travel")).toEqual(oslo);
      const heard = await alice.hearsThrough("watcher.started");
      expect(heard.at(-1)?.event.data).toMatchObject({ watcher: bob.address, subscription: made.id });
      expect((await lists(alice))[0]).toMatchObject({ watcher: bob.address, state: "active" });
    });

    test("is allowed some of it, and sees no more", async () => {
      const [alice, bob] = await anAsker();
      await alice.grants({
        who: ["authenticated"],
        properties: ["*"],
        allow: ["read", "watch"],
        confirm: true,
      });
      await alice.sets("presence", { status: "online" });
      await answers(alice, bob, { decision: "allow", properties: ["travel"] });
      expect(await bob.sees(alice, "travel")).toEqual(oslo);
      expect(await bob.sees(alice, "presence")).toBeUndefined();
      await answers(alice, bob, { decision: "allow" });
      expect(await bob.sees(alice, "presence")).toEqual({ status: "online" });
      for (const decision of ["deny", "polite"]) {
        const refused = await answers(alice, bob, { decision, properties: ["travel"] });
        expect([refused.status, refused.body.code]).toEqual([400, "bad-request"]);
      }
    });

    test("is denied", async () => {
      const [alice, bob, made] = await anAsker();
      await answers(alice, bob, { decision: "deny" });
      await bob.hears("subscription.ended", { id: made.id, reason: "denied" });
      const again = await bob.subscribes({ target: alice.address, properties: ["travel"] });
      expect(again.state).toBe("pending");
    });

    test("or waits politely for ever", async () => {
      const [alice, bob, made] = await anAsker();
      await answers(alice, bob, { decision: "polite" });
      await bob.hearsNothing();
      expect((await bob.asks("GET", `/v1/subscriptions/${made.id}`)).body.state).toBe("pending");
      await alice.sets("travel", rome);
      await bob.hearsNothing();
    });

    test("what was allowed can be taken back", async () => {
      const [alice, bob] = await anAsker();
      await answers(alice, bob, { decision: "allow" });
      await bob.hearsMany(2);
      await answers(alice, bob, { decision: "polite" });
      await bob.hears("property.removed", { name: "travel", reason: "deleted" });
      await alice.sets("travel", rome);
      await bob.hearsNothing();
    });
  });

  test("whoever ends its account watches nobody any more", async () => {
    const [alice, bob] = await aPair();
    const { id } = await bob.subscribes({ target: alice.address, properties: ["travel"] });
    await alice.hears("watcher.started", { watcher: bob.address, subscription: id });
    expect((await bob.asks("DELETE", "/v1/me")).status).toBe(204);
    await alice.hears("watcher.ended", { watcher: bob.address, subscription: id });
    expect(await lists(alice)).toEqual([]);
  });

  test("allowing whom nothing else grants anything grants what was asked, or what is said", async () => {
    const [alice, bob] = await aPair();
    const carol = await world.registers("carol");
    await alice.patches({
      set: { contact: { value: { phone: "1" } }, location: { value: { lat: 1, lon: 1 } } },
    });
    for (const who of [bob, carol]) {
      await who.subscribes({ target: alice.address, properties: ["contact", "location"] });
      await until("it waits", async () =>
        (await lists(alice)).some(({ watcher, state }) => watcher === who.address && state === "pending"),
      );
    }
    expect((await answers(alice, bob, { decision: "allow" })).body.properties).toEqual([
      "contact",
      "location",
    ]);
    await answers(alice, carol, { decision: "allow", properties: ["location"] });
    expect(await bob.sees(alice, "contact")).toEqual({ phone: "1" });
    expect(await carol.sees(alice, "contact")).toBeUndefined();
    expect(await carol.sees(alice, "location")).toEqual({ lat: 1, lon: 1 });
  });

  describe("with a rule that asks for disclosure", () => {
    const rule = { who: ["authenticated"], properties: ["travel"], allow: ["read", "watch"] };

    test("too little is refused, naming what is missing; enough is granted and told", async () => {
      const [alice, bob] = await aPair();
      await alice.grants({ ...rule, reveal: ["profile", "contact"] });
      const body = { target: alice.address, properties: ["travel"] };
      const missing = async (wish: Data): Promise<Data> =>
        (await bob.asks("POST", "/v1/subscriptions", { body: { ...body, ...wish } })).body;
      expect(await missing({})).toMatchObject({ status: 403, code: "reveal-required" });
      expect((await missing({})).detail).toMatch(/profile, contact/);
      // What one does not hold one cannot disclose.
      expect((await missing({ reveal: ["profile", "contact"] })).detail).toMatch(/profile, contact/);
      await bob.sets("profile", { name: "Bob" });
      expect((await missing({ reveal: ["profile", "contact"] })).detail).not.toMatch(/profile/);
      await bob.sets("contact", { email: "bob@example.com" });
      const made = await bob.subscribes({ ...body, reveal: ["profile", "contact"] });
      expect(made).toMatchObject({ state: "active", revealed: ["profile", "contact"] });
      const revealed = { profile: { name: "Bob" }, contact: { email: "bob@example.com" } };
      const heard = await alice.hearsThrough("watcher.started");
      expect(heard.at(-1)?.event.data).toMatchObject({ watcher: bob.address, revealed, verified: local });
      expect((await bob.listens()).snapshot).toHaveLength(1);
      expect((await lists(alice))[0]).toMatchObject({ state: "active", revealed });
    });

    test("the same holds for reads, streams and sockets", async () => {
      const [alice, bob] = await aPair();
      await alice.grants({ ...rule, reveal: ["profile"] });
      await bob.sets("profile", { name: "Bob" });
      const refused = { status: 403, body: { code: "reveal-required" } };
      const paths = [
        `${nodePath(alice.address)}/properties/travel`,
        nodePath(alice.address),
        `/v1/poll?watch=${alice.address}:travel`,
      ];
      for (const path of paths) {
        expect(await bob.asks("GET", path)).toMatchObject(refused);
        const reveal = `${path.includes("?") ? "&" : "?"}reveal=profile`;
        expect(await bob.asks("GET", `${path}${reveal}`)).toMatchObject({ status: 200 });
      }
      const [notice] = (await alice.hearsThrough("watcher.fetched")).slice(-1);
      expect(notice?.event.data.revealed).toEqual({ profile: { name: "Bob" } });
      await using socket = await openSocket(world.url, { token: bob.token });
      const wish = { target: alice.address, properties: ["travel"] };
      await expect(socket.does("watch", wish)).rejects.toThrow("reveal-required");
      expect(await socket.does("watch", { ...wish, reveal: ["profile"] })).toMatchObject({ state: "active" });
    });
  });
});

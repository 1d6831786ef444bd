// Events: what handlers hear, made of the broker's CloudEvents; and which triggers want them.
import { describe, expect, it } from "vitest";
import { match, message, property, started, type Trigger, watcher } from "../../agents/agent.ts";
import { eventOf } from "../../agents/events.ts";
import { openTriggers, targetsOf } from "../../agents/triggers.ts";

const time = "2026-11-23T09:00:00.000Z";
const cloud = (type: string, data: object, more = {}) => ({
  specversion: "1.0",
  id: "e-1",
  source: "/nodes/alice@localhost",
  type: `dev.tidings.${type}`,
  time,
  data,
  ...more,
});
const head = { id: "e-1", time, node: "alice@localhost", hops: 0 };

describe("a CloudEvent", () => {
  it("becomes what a handler hears", () => {
    const changed = {
      name: "travel",
      value: { city: "Oslo" },
      revision: 7,
      by: "bob@localhost",
      reason: "set",
    };
    const told = cloud("property.changed", { node: "bob@localhost", ...changed, skipped: 2 }, { hops: 3 });
    expect(eventOf(told)).toEqual({
      ...head,
      ...changed,
      type: "property.changed",
      node: "bob@localhost",
      hops: 3,
      skipped: 2,
    });
    const letter = {
      id: "m",
      from: "bob@localhost",
      to: "alice@localhost",
      contentType: "text/plain",
      content: "?",
    };
    expect(eventOf(cloud("message.received", letter, { hops: "2" }))).toEqual({
      ...head,
      type: "message.received",
      hops: 2,
      message: letter,
    });
    const notice = { watcher: "bob@localhost", properties: ["travel"], revealed: {}, via: "sse" };
    expect(eventOf(cloud("watcher.started", notice))).toEqual({
      ...head,
      type: "watcher.started",
      ...notice,
    });
    const joined = { group: "alice@localhost/club", member: "bob@localhost" };
    expect(eventOf(cloud("member.joined", joined))).toEqual({
      ...head,
      type: "member.joined",
      node: joined.group,
      member: joined.member,
    });
    const entered = { subscription: "s", node: "bob@localhost", properties: {} };
    expect(eventOf(cloud("match.entered", entered))).toMatchObject({
      type: "match.entered",
      node: "bob@localhost",
    });
  });

  it.each([
    "stream.live",
    "stream.bookmark",
    "subscription.active",
    "message.read",
    "node.moved",
    "toString",
  ])("of type %s is none", (type) => {
    expect(eventOf(cloud(type, {}))).toBeUndefined();
  });

  it("has no hops where it says none that make sense", () => {
    for (const hops of [undefined, -1, 1.5, "many"]) {
      const more = hops === undefined ? {} : { hops };
      expect(eventOf(cloud("member.left", { group: "g@x/g", member: "b@x" }, more))?.hops).toBe(0);
    }
  });
});

describe("a trigger", () => {
  const who = { id: "1", node: "alice@localhost/agents/one", owner: "alice@localhost" };
  const changed = (node: string, name: string, value: unknown = {}) =>
    eventOf(cloud("property.changed", { node, name, value, revision: 1, by: node, reason: "set" }))!;
  const wants = (trigger: Trigger, config = {}) => {
    const test = openTriggers([trigger], config, {
      ...who,
      isContact: (address) => address === "bob@localhost",
    });
    return (event: ReturnType<typeof changed>) => test(event, Date.parse(time));
  };

  it("wants the names and the nodes that it says", () => {
    const own = wants(property(["travel", "profile.*"]));
    expect(own(changed("alice@localhost", "travel"))).toBe(true);
    expect(own(changed("alice@localhost", "profile.name"))).toBe(true);
    expect(own(changed("alice@localhost", "profilex"))).toBe(false);
    expect(own(changed("alice@localhost", "presence"))).toBe(false);
    expect(own(changed("alice@localhost/bike", "travel"))).toBe(false);
    expect(own(changed("bob@localhost", "travel"))).toBe(false);
    expect(wants(property("travel", { depth: "1" }))(changed("alice@localhost/bike", "travel"))).toBe(true);
    const contacts = wants(property("travel", { of: "contacts" }));
    expect(contacts(changed("bob@localhost", "travel"))).toBe(true);
    expect(contacts(changed("carol@localhost", "travel"))).toBe(false);
    expect(contacts(changed("alice@localhost", "travel"))).toBe(false);
    const configured = wants(property("travel", { of: "config.who" }), { who: ["carol@localhost"] });
    expect(configured(changed("carol@localhost", "travel"))).toBe(true);
    expect(configured(changed("bob@localhost", "travel"))).toBe(false);
    const group = wants(property("travel", { of: "alice@localhost/club", depth: "1" }));
    expect(group(changed("dave@localhost", "travel"))).toBe(true);
  });

  it("wants what its condition says, and nothing that it cannot say", () => {
    const where = "value.seats * 2 >= config.people && now > timestamp('2026-01-01T00:00:00Z')";
    const roomy = wants(property("travel", { where }), { people: 4 });
    expect(roomy(changed("alice@localhost", "travel", { seats: 2 }))).toBe(true);
    expect(roomy(changed("alice@localhost", "travel", { seats: 1 }))).toBe(false);
    expect(roomy(changed("alice@localhost", "travel", { city: "Oslo" }))).toBe(false);
  });

  it("takes no longer over a pattern than the text is long", () => {
    const slow = wants(property("travel", { where: "value.city.matches('^(a+)+$')" }));
    expect(slow(changed("alice@localhost", "travel", { city: `${"a".repeat(50_000)}b` }))).toBe(false);
    expect(slow(changed("alice@localhost", "travel", { city: "aaa" }))).toBe(true);
  });

  it("wants messages to its owner or to itself, notices, matches and its start", () => {
    const mail = (to: string) =>
      eventOf(cloud("message.received", { to, content: "hi" }, { source: `/nodes/${to}` }))!;
    const inbox = message({ where: 'event.message.content == "hi"' });
    expect([wants(inbox)(mail(who.owner)), wants(inbox)(mail(who.node))]).toEqual([true, false]);
    const self = message({ of: "self" });
    expect([wants(self)(mail(who.owner)), wants(self)(mail(who.node))]).toEqual([false, true]);
    const notice = eventOf(cloud("watcher.ended", { watcher: "x@x" }))!;
    expect([wants(watcher())(notice), wants(started())(notice)]).toEqual([true, false]);
    expect(wants(match({ q: "x" }))(eventOf(cloud("match.left", { node: "x@x" }))!)).toBe(true);
    expect(wants(started())({ ...head, type: "started" })).toBe(true);
  });

  it("says whom a host has to watch", () => {
    const targets = (of: string) => targetsOf(property("travel", { of }), { who: "bob@localhost" }, who);
    expect([targets("owner"), targets("contacts"), targets("config.who"), targets("x@y")]).toEqual([
      ["alice@localhost"],
      "contacts",
      ["bob@localhost"],
      ["x@y"],
    ]);
  });
});

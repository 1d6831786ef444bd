// Definitions: what is right is typed by what it listens to; what is wrong is refused with what to do.
import { describe, expect, it } from "vitest";
import {
  AgentError,
  defineAgent,
  match,
  message,
  property,
  started,
  Type,
  watcher,
} from "../../agents/agent.ts";
import { checkAgent, readConfig } from "../../agents/define.ts";
import { durationMs } from "../../agents/durations.ts";

const right = {
  name: "greeter",
  version: "1.0.0",
  config: Type.Object({ city: Type.String(), friends: Type.Array(Type.String(), { default: [] }) }),
  permissions: ["read:travel"],
  on: [property("travel", { of: "contacts", where: "value.city == config.city" })],
  handle: () => undefined,
};

describe("a definition", () => {
  it("types the event by its triggers, and the config by its schema", () => {
    const agent = defineAgent({
      name: "typed",
      version: "1.0.0",
      config: Type.Object({ city: Type.String() }),
      permissions: ["read:travel", "inbox"],
      on: [property("travel", { of: "config.city", depth: "1" }), message()],
      handle(event, ctx) {
        const city: string = ctx.config.city;
        switch (event.type) {
          case "message.received":
            return `${city} ${event.message.from}`;
          case "property.changed":
          case "property.removed":
          case "timer":
            return event.name;
          case "member.joined":
          case "member.left":
            return event.member;
        }
        // @ts-expect-error: no trigger gives it
        return event.type === "watcher.started";
      },
    });
    expect(agent.name).toBe("typed");
  });

  it("has triggers that are plain data", () => {
    const on = [
      property(["travel", "profile.*"]),
      message({ of: "self" }),
      watcher(),
      match({ q: "bike" }),
      started(),
    ];
    expect(JSON.parse(JSON.stringify(on))).toEqual([
      { on: "property", names: ["travel", "profile.*"], of: "owner", depth: "0" },
      { on: "message", of: "self" },
      { on: "watcher" },
      { on: "match", q: "bike" },
      { on: "started" },
    ]);
  });

  it.each<[string, object, RegExp]>([
    ["no name", { name: undefined }, /its name has lower-case letters/],
    ["a bad name", { name: "Greeter" }, /"Greeter": its name has lower-case letters/],
    ["no version", { version: "1" }, /semantic, such as 1\.0\.0/],
    ["no handler", { handle: undefined }, /needs a function handle\(event, ctx\)/],
    ["an unknown mode", { mode: "fast" }, /one of queued, restart, single, parallel/],
    ["a time limit of text", { timeLimit: "30s" }, /in milliseconds/],
    ["no concurrency", { concurrency: 0 }, /from 1 to 256/],
    ["a config that is no object", { config: Type.String() }, /made with Type\.Object/],
    [
      "an unknown permission",
      { permissions: ["read:travel", "everything"] },
      /"everything" is unknown; there are read:/,
    ],
    ["a permission without a name", { permissions: ["read:"] }, /such as read:travel/],
    [
      "an origin with a path",
      { permissions: ["fetch:https://example.com/x"] },
      /fetch:https:\/\/example\.com/,
    ],
    ["no trigger", { on: [] }, /at least one/],
    ["what is no trigger", { on: ["travel"] }, /travel is no trigger; there are property/],
    ["a bad property name", { on: [property("Travel")] }, /lower-case letters, digits, dots/],
    ["a property it may not read", { on: [property("presence")] }, /add "read:presence" to its permissions/],
    ["a wider pattern than it may read", { on: [property("*")] }, /add "read:\*"/],
    ["a key that the config has not", { on: [property("travel", { of: "config.who" })] }, /no such key/],
    [
      "whom it cannot know",
      { on: [property("travel", { of: "friends" })] },
      /write "owner", "contacts", an address/,
    ],
    ["a depth of 2", { on: [property("travel", { depth: "2" as "1" })] }, /"0", "1" or "infinity"/],
    [
      "CEL that does not parse",
      { on: [property("travel", { where: "value.city ==" })] },
      /no CEL that fits here/,
    ],
    [
      "an unknown word in CEL",
      { on: [property("travel", { where: "city == 1" })] },
      /"city" is unknown; there are node, name/,
    ],
    ["an unknown function", { on: [property("travel", { where: "near(value)" })] }, /"near" is no function/],
    ["an inbox it may not hear", { on: [message()] }, /add "inbox" to its permissions/],
    ["watchers it may not hear", { on: [watcher()] }, /add "watchers"/],
    ["a search it may not do", { on: [match({ q: "bike" })] }, /add "find"/],
    ["an empty search", { permissions: ["find"], on: [match({})] }, /takes q, where or both/],
    [
      "a search by the event",
      { permissions: ["find"], on: [match({ where: "value == 1" })] },
      /"value" is unknown/,
    ],
  ])("with %s is refused", (_, wrong, why) => {
    expect(() => checkAgent({ ...right, ...wrong })).toThrow(AgentError);
    expect(() => checkAgent({ ...right, ...wrong })).toThrow(why);
  });

  it("knows macros and what they bind", () => {
    const where =
      'config.friends.exists(friend, friend == node) && has(value.city) && value.city in ["Oslo"]';
    expect(() => checkAgent({ ...right, on: [property("travel", { where })] })).not.toThrow();
  });

  it("is what a module exports", () => {
    expect(checkAgent(right)).toBe(right);
    expect(() => checkAgent(undefined)).toThrow(/export default defineAgent/);
  });
});

it("a config gets its defaults, or is told what does not fit", () => {
  const agent = checkAgent(right);
  expect(readConfig(agent, { city: "Oslo" })).toEqual({ config: { city: "Oslo", friends: [] } });
  expect(readConfig(agent, { city: 5 })).toEqual({
    problems: [{ pointer: "/city", detail: expect.stringContaining("string") }],
  });
  expect(readConfig(agent, undefined)).toHaveProperty("problems");
});

it.each([
  ["P1D", 86_400_000],
  ["PT10M", 600_000],
  ["P1W", 604_800_000],
  ["P1DT1H1M1.5S", 90_061_500],
  ["10m", 600_000],
  ["1.5h", 5_400_000],
  ["250ms", 250],
  [42, 42],
])("%s is a duration of %i ms", (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

it.each(["", "P", "PT", "P1M", "10", "10 m", "-5m", "1000d", Number.NaN, -1])("%j is no duration", (text) => {
  expect(() => durationMs(text)).toThrow(AgentError);
});

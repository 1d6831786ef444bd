// testAgent: what an author sees of an agent without a server.
import { describe, expect, it } from "vitest";
import { defineAgent, message, property, started, Type } from "../../agents/agent.ts";
import { testAgent } from "../../agents/testing.ts";

const greeter = defineAgent({
  name: "greeter",
  version: "1.0.0",
  config: Type.Object({ city: Type.String() }),
  permissions: ["read:travel", "message:contacts", "write:greeted", "fetch:https://example.com"],
  on: [property("travel", { of: "contacts", where: "value.city == config.city" })],
  async handle(event, ctx) {
    if (event.type === "timer") {
      await ctx.send(String(event.data), "Still there?");
      return;
    }
    await ctx.step("greet", () => ctx.send(event.node, { text: `In ${ctx.config.city}?` }));
    await ctx.step("post", () => ctx.fetch("https://example.com/hook", { body: { who: event.node } }));
    ctx.log.info("greeted");
    await ctx.set("greeted", event.node, { lease: { seconds: 60, default: null } });
    await ctx.schedule("remind", "P1D", event.node);
  },
});
const toOslo = {
  type: "property.changed",
  node: "bob@localhost",
  name: "travel",
  value: { city: "Oslo" },
} as const;
const world = { config: { city: "Oslo" }, contacts: ["bob@localhost"] };

describe("an agent under test", () => {
  it("does what it does, in order, and nothing twice", async () => {
    const test = testAgent(greeter, world);
    await test.emit(toOslo);
    const effects = [
      { type: "message", to: "bob@localhost", content: "In Oslo?", contentType: "text/plain; charset=utf-8" },
      { type: "fetch", method: "POST", url: "https://example.com/hook", body: '{"who":"bob@localhost"}' },
      { type: "log", level: "info", text: "greeted" },
      {
        type: "set",
        node: test.self,
        name: "greeted",
        value: "bob@localhost",
        lease: { seconds: 60, default: null },
      },
      { type: "timer", name: "remind", dueMs: test.now() + 86_400_000, data: "bob@localhost" },
    ];
    expect(test.effects).toEqual(effects);
    await test.redeliver();
    expect(test.effects).toEqual(effects);
  });

  it("goes on after a crash where it was", async () => {
    const test = testAgent(greeter, world);
    test.crashAfterStep("greet");
    await test.emit(toOslo);
    expect(test.effects.map(({ type }) => type)).toEqual(["message"]);
    await test.redeliver();
    expect(test.effects.map(({ type }) => type)).toEqual(["message", "fetch", "log", "set", "timer"]);
  });

  it("is woken by its timers when the clock moves, and its leases end", async () => {
    const test = testAgent(greeter, world);
    await test.emit(toOslo);
    expect(test.node(test.self)).toEqual({ greeted: "bob@localhost" });
    await test.advance("2m");
    expect(test.node(test.self)).toEqual({ greeted: null });
    await test.advance("23h");
    expect(test.effects.at(-1)).toMatchObject({ type: "timer" });
    await test.advance("1h");
    expect(test.effects.at(-1)).toMatchObject({ type: "message", content: "Still there?" });
    await test.advance("P7D");
    expect(test.effects).toHaveLength(6);
  });

  it("ignores what its triggers do not want", async () => {
    const test = testAgent(greeter, world);
    await test.emit({ ...toOslo, value: { city: "Rome" } });
    await test.emit({ ...toOslo, node: "eve@localhost" });
    await test.emit({ type: "started" });
    expect(test.effects).toEqual([]);
  });

  it("throws what its handler throws, or tries again as a host does", async () => {
    let tries = 0;
    const failing = defineAgent({
      name: "failing",
      version: "1.0.0",
      permissions: ["inbox"],
      on: [message(), started()],
      handle() {
        if (++tries < 3) throw new Error("not yet");
      },
    });
    await expect(testAgent(failing).emit({ type: "message.received" })).rejects.toThrow("not yet");
    tries = 0;
    const test = testAgent(failing, { retries: true });
    await test.emit({ type: "started" });
    expect(tries).toBe(1);
    await test.advance("10s");
    expect([tries, test.dead]).toEqual([3, []]);
    tries = -9;
    await test.emit({ type: "started" });
    await test.advance("1m");
    expect(test.dead).toMatchObject([{ type: "started" }]);
  });

  it("sets a timer once for each call, however often the event is told", async () => {
    const waker = defineAgent({
      name: "waker",
      version: "1.0.0",
      permissions: ["write:woken"],
      on: [started()],
      async handle(event, ctx) {
        if (event.type === "timer") await ctx.set("woken", true);
        else await ctx.schedule("wake", "P1D");
      },
    });
    const test = testAgent(waker);
    await test.emit({ type: "started" });
    await test.advance("23h");
    await test.redeliver();
    expect(test.effects).toHaveLength(1);
    await test.advance("1h");
    expect(test.node(test.self)).toEqual({ woken: true });
  });

  it("sees an effect that a redelivery would double", async () => {
    const careless = defineAgent({
      name: "careless",
      version: "1.0.0",
      permissions: ["message:anyone"],
      on: [started()],
      handle: (_event, ctx) => ctx.fetch("https://example.com", { method: "POST" }),
    });
    await expect(testAgent(careless).emit({ type: "started" })).rejects.toThrow(
      'does not declare the permission "fetch:https://example.com"',
    );
    const test = testAgent({ ...careless, permissions: ["fetch:*"] });
    await test.emit({ type: "started" });
    await test.redeliver();
    expect(test.effects).toHaveLength(2);
  });

  it("refuses, as the broker does, an effect that is another one when the event is told again", async () => {
    let chance = 0;
    const fickle = defineAgent({
      name: "fickle",
      version: "1.0.0",
      permissions: ["message:anyone"],
      on: [started()],
      handle: (_event, ctx) => ctx.send("bob@localhost", String(++chance)),
    });
    const test = testAgent(fickle);
    await test.emit({ type: "started" });
    await expect(test.redeliver()).rejects.toMatchObject({ code: "idempotency-mismatch" });
  });

  it("keeps state, and reads, finds and fetches from what the test says", async () => {
    const curious = defineAgent({
      name: "curious",
      version: "1.0.0",
      permissions: ["read:*", "find", "fetch:*"],
      on: [property("travel", { of: "contacts" })],
      async handle(event, ctx) {
        const seen = (await ctx.state.get<number>("seen")) ?? 0;
        await ctx.state.set("seen", seen + 1);
        const profile = await ctx.get(event.node, "profile");
        const near = await ctx.find({ q: "bob", where: 'prop("profile").city == "Oslo"' });
        const { status } = await ctx.fetch("https://example.com/");
        ctx.log.info(JSON.stringify([profile?.value ?? null, near.map(({ address }) => address), status]));
      },
    });
    const test = testAgent(curious, {
      ...world,
      nodes: {
        "bob@localhost": { profile: { city: "Oslo" } },
        "ann@localhost": { profile: { city: "Oslo" } },
      },
      fetch: () => ({ status: 204 }),
    });
    await test.emit(toOslo);
    await test.emit({ ...toOslo, value: null });
    expect(test.state).toEqual({ seen: 2 });
    expect(test.effects).toContainEqual({
      type: "log",
      level: "info",
      text: '[{"city":"Oslo"},["bob@localhost"],204]',
    });
  });
});

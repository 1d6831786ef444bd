// The runtime: one handling of one event, its permissions, and keys that make a redelivery harmless.
import { describe, expect, it } from "vitest";
import { type Context, defineAgent, property } from "../../agents/agent.ts";
import { permitted } from "../../agents/permissions.ts";
import type { Calls, Json, Port } from "../../agents/port.ts";
import { openRuntime } from "../../agents/runtime.ts";

const who = { id: "1", node: "alice@localhost/greeter", owner: "alice@localhost" };
const run = { id: "e-1", hops: 0 };

function changed(by = who.owner, value: Json = {}) {
  const head = { id: "e-1", time: "2026-11-23T09:00:00.000Z", node: who.owner, hops: 0 };
  return {
    ...head,
    type: "property.changed" as const,
    name: "travel",
    value,
    revision: 1,
    by,
    reason: "set" as const,
  };
}

/** An agent that does what the test wants, and the calls that reach its port. */
function agentThat(does: (ctx: Context) => unknown, permissions: readonly string[] = []) {
  const agent = defineAgent({
    name: "test",
    version: "1.0.0",
    permissions: ["read:travel", ...permissions],
    on: [property("travel")],
    handle: (_event, ctx) => does(ctx),
  });
  const calls: { call: keyof Calls; key?: string | undefined }[] = [];
  const steps = new Map<string, Json>();
  const answers: { [Call in keyof Calls]?: (takes: Calls[Call]["takes"]) => Calls[Call]["gives"] } = {
    recallStep: ({ name }) => (steps.has(name) ? { value: steps.get(name) ?? null } : undefined),
    keepStep: ({ name, value }) => void steps.set(name, value),
    send: () => ({ id: "m-1" }),
    set: () => ({ revision: 1 }),
    find: () => [
      { address: "bob@localhost", properties: { travel: prop("travel"), secret: prop("secret") } },
    ],
    fetch: () => ({ status: 200, headers: {}, body: '{"a":1}' }),
  };
  const port: Port = async (_run, call, takes) => {
    const { key, headers } = takes as { key?: string; headers?: { [name: string]: string } };
    calls.push({ call, key: key ?? headers?.["idempotency-key"] });
    return answers[call]?.(takes) as never;
  };
  const isContact = (address: string) => address === "bob@localhost";
  const guarded = permitted(port, {
    permissions: agent.permissions,
    owner: who.owner,
    node: who.node,
    isContact,
  });
  const runtime = openRuntime(agent, {}, guarded, who, () => 0);
  const handle = (event = changed(), signal = new AbortController().signal) =>
    runtime.handle(event, run, signal);
  return { handle, calls };
}

function prop(name: string) {
  return { node: "bob@localhost", name, value: 1, revision: 1, updated: "", by: "bob@localhost" };
}

describe("a run", () => {
  it("is of what a trigger wants, and of nothing that the agent did", async () => {
    const { handle } = agentThat(() => undefined);
    expect(await handle()).toBe("handled");
    expect(await handle(changed(who.node))).toBe("ignored");
    expect(await handle({ ...changed(), name: "presence" })).toBe("ignored");
  });

  it("gives the same effect the same key when the event is told again, and another effect another", async () => {
    const { handle, calls } = agentThat(
      async (ctx) => {
        await ctx.send("bob@localhost", "one");
        await ctx.send("bob@localhost", "two");
        await ctx.set("note", 1);
        await ctx.fetch("https://example.com/", { body: { a: 1 } });
      },
      ["message:contacts", "write:note", "fetch:https://example.com"],
    );
    await handle();
    await handle();
    const keys = calls.map(({ key }) => key);
    expect(keys.slice(0, 4)).toEqual(keys.slice(4));
    expect(new Set(keys).size).toBe(4);
    expect(keys.every((key) => key !== undefined && /^[\w-]{1,64}$/.test(key))).toBe(true);
  });

  it("does a step once, and numbers its effects by its name", async () => {
    let done = 0;
    let isLong = false;
    const { handle, calls } = agentThat(
      async (ctx) => {
        // A run that takes another way the second time still finds its steps.
        if (isLong) await ctx.step("extra", () => ctx.send("bob@localhost", "extra"));
        const answer = await ctx.step("greet", async () => {
          done++;
          return ctx.send("bob@localhost", "hello");
        });
        expect(answer).toEqual({ id: "m-1" });
      },
      ["message:contacts"],
    );
    await handle();
    isLong = true;
    await handle();
    expect(done).toBe(1);
    const keys = calls.flatMap(({ key }) => key ?? []);
    expect([keys.length, new Set(keys).size]).toEqual([2, 2]);
  });

  it.each<[string, (ctx: Context) => unknown, RegExp]>([
    [
      "a step twice",
      async (ctx) => [await ctx.step("a", () => 1), await ctx.step("a", () => 1)],
      /there twice/,
    ],
    ["a step that is no JSON", (ctx) => ctx.step("a", () => new Map()), /step "a" must be JSON/],
    ["a step that gives a function", (ctx) => ctx.step("a", () => ({ f: () => 1 })), /"f" is/],
    ["a bad duration", (ctx) => ctx.schedule("a", "soon"), /"soon" is no duration/],
    ["a read it may not do", (ctx) => ctx.get("bob@localhost", "contact"), /permission "read:contact"/],
    ["a write it may not do", (ctx) => ctx.set("travel", 1), /"write:travel"/],
    ["a removal it may not do", (ctx) => ctx.remove("travel"), /"write:travel"/],
    ["a message to a stranger", (ctx) => ctx.send("eve@localhost", "hi"), /"message:anyone"/],
    ["a message to its owner", (ctx) => ctx.send(ctx.owner, "hi"), /"message:owner"/],
    ["a search", (ctx) => ctx.find({ q: "bike" }), /"find"/],
    ["a fetch", (ctx) => ctx.fetch("https://example.com/x"), /"fetch:https:\/\/example\.com"/],
  ])("fails with %s", async (_, does, why) => {
    const { handle } = agentThat(does);
    await expect(handle()).rejects.toThrow(why);
  });

  it("finds only what it may read", async () => {
    let found: unknown;
    const { handle } = agentThat(async (ctx) => (found = await ctx.find({ q: "x" })), ["find"]);
    await handle();
    expect(found).toEqual([{ address: "bob@localhost", properties: { travel: prop("travel") } }]);
  });

  it("reads its own node without asking, and hears whether a server took it", async () => {
    const { handle } = agentThat(
      async (ctx) => {
        await ctx.get("anything");
        expect(await ctx.fetch("https://example.com/")).toMatchObject({ ok: true, body: '{"a":1}' });
      },
      ["fetch:*"],
    );
    expect(await handle()).toBe("handled");
  });

  it("has no effect once it is over or aborted", async () => {
    let kept: Context | undefined;
    const over = agentThat((ctx) => void (kept = ctx), ["message:anyone"]);
    await over.handle();
    await expect(kept?.send("bob@localhost", "late")).rejects.toThrow(/after the run had ended/);
    const abort = new AbortController();
    const aborted = agentThat(
      (ctx) => {
        abort.abort(new Error("time limit"));
        return ctx.send("bob@localhost", "late");
      },
      ["message:anyone"],
    );
    await expect(aborted.handle(changed(), abort.signal)).rejects.toThrow("time limit");
    expect([...over.calls, ...aborted.calls]).toEqual([]);
  });
});

it("a config that does not fit is told", () => {
  const agent = defineAgent({
    name: "a",
    version: "1.0.0",
    permissions: [],
    on: [{ on: "started" }],
    handle: () => undefined,
  });
  expect(() =>
    openRuntime({ ...agent, config: { type: "object" } as never }, 5, (() => 0) as never, who, () => 0),
  ).toThrow(/config of "a" does not fit/);
});

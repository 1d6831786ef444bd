// Agents in programs of their own: every event handled, no step twice, timers that outlive the program, whatever is killed.

import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { at, aWorld, isFull, type Person } from "../conversations/world.ts";
import { type Command, openCommand, types } from "./command.ts";
import { openProject, type Project } from "./project.ts";
import { openSink } from "./sink.ts";

// Always the same, as it is where a broker is killed and comes back.
const port = await freePort();
const world = aWorld("process", { env: { TIDINGS_RATE_LIMIT: "off", TIDINGS_PORT: String(port) } });

function runs(project: Project, file: string, bot: Person, config: unknown, ...more: string[]): Command {
  const env = { TIDINGS_URL: world.url, TIDINGS_TOKEN: bot.token as string };
  return openCommand(["agent", "run", file, "--config", JSON.stringify(config), ...more], {
    env,
    cwd: project.path,
  });
}

/** Tells the sink of each event in two steps. */
const teller = `
import { defineAgent, property, Type } from "tidings/agent";
export default defineAgent({
  name: "teller", version: "1.0.0",
  config: Type.Object({ things: Type.Array(Type.String()), sink: Type.String() }),
  permissions: ["read:e.*", "fetch:*"],
  on: [property("e.*", { of: "config.things" })],
  async handle(event, ctx) {
    if (event.type !== "property.changed") return;
    const post = (step) => ctx.fetch(ctx.config.sink + "/" + step, { method: "POST", body: event.node + " " + event.name });
    const first = await ctx.step("first", async () => (await post("first")).status);
    await ctx.step("second", async () => { await post("second"); return first; });
  },
});`;

describe("an agent that is killed again and again", () => {
  it("handles each event, in order at each node, and does no step again that has ended", async () => {
    await using sink = await openSink();
    await using project = await openProject({ "teller.ts": teller });
    const [alice, bot] = [await world.registers("alice"), await world.registers("teller")];
    const things = ["a", "b", "c", "d", "e"].map((name) => `${alice.address}/${name}`);
    for (const thing of things) await alice.creates(thing);
    await alice.grants({ who: ["authenticated"], properties: ["*"], allow: ["read", "watch"] });
    const config = { things, sink: sink.url };
    const eventsEach = isFull ? 400 : 40;
    const count = eventsEach * things.length;

    let running = runs(project, "teller.ts", bot, config);
    await running.prints("listening");
    const writing = Promise.all(
      things.map(async (thing) => {
        for (let index = 0; index < eventsEach; index++) await alice.sets(`e.${index}`, index, { at: thing });
      }),
    );
    const killsAt = [0.2, 0.6, 1.1, 1.6].map((part) => Math.floor(part * count));
    for (const at of killsAt) {
      await sink.has(at);
      running.child.kill("SIGKILL");
      await running.ended;
      running = runs(project, "teller.ts", bot, config);
    }
    await writing;
    await sink.has(2 * count);
    await using last = running;
    last.child.kill("SIGINT");
    expect(await last.ended).toMatchObject({ code: 0, stderr: "" });

    const keys = new Map<string, string>();
    const told = new Map<string, number>();
    for (const { path, key, body } of sink.posted) {
      const step = `${path} ${body}`;
      expect(keys.get(step) ?? key).toBe(key);
      const isNew = !keys.has(step);
      keys.set(step, key);
      if (path === "/second") continue;
      // It ended before the second began: from then on it is remembered.
      expect(keys.has(`/second ${body}`)).toBe(false);
      if (!isNew) continue;
      const [node = "", name = ""] = body.split(" ");
      expect(Number(name.slice(2))).toBe((told.get(node) ?? -1) + 1);
      told.set(node, Number(name.slice(2)));
    }
    expect(keys.size).toBe(2 * count);
    // What was on its way at a kill may come twice, with the same key: at most one at each node.
    expect(sink.posted.length - keys.size).toBeLessThanOrEqual(killsAt.length * things.length);
  }, 120_000);
});

/** Notes what it hears in a property of its owner's, one name for each thing heard. */
const noter = (on: string, permissions: string, body = "") => `
import { defineAgent, match, message, property, started, Type } from "tidings/agent";
export default defineAgent({
  name: "noter", version: "1.0.0",
  config: Type.Object({ group: Type.Optional(Type.String()), sink: Type.String() }),
  permissions: [${permissions}, "fetch:*", "message:anyone", "write:*"],
  on: [${on}],
  async handle(event, ctx) {
    ${body}
    const what = [event.type, event.node, event.name ?? event.message?.content ?? event.member ?? ""].join(" ").trim();
    await ctx.step("tell", async () => { await ctx.fetch(ctx.config.sink, { method: "POST", body: what }); });
  },
});`;

describe("what an agent outside hears", () => {
  it("is of the contacts that its owner has now", async () => {
    await using sink = await openSink();
    const file = noter('property("presence", { of: "contacts" })', '"read:presence"');
    await using project = await openProject({ "noter.ts": file });
    const [owner, alice, bob] = await three("owner", "alice", "bob");
    await owner.asks("PUT", "/v1/me/roster", { body: { contacts: [{ address: alice.address }] } });
    await using running = runs(project, "noter.ts", owner, { sink: sink.url });
    await running.prints("listening");
    await bob.sets("presence", { status: "online" });
    await alice.sets("presence", { status: "online" });
    await sink.has(1);
    await owner.asks("POST", "/v1/me/roster", { body: { contacts: [{ address: bob.address }] } });
    await bob.sets("presence", { status: "away" });
    await sink.has(2);
    expect(sink.posted.map(({ body }) => body)).toEqual([
      `property.changed ${alice.address} presence`,
      `property.changed ${bob.address} presence`,
    ]);
  });

  it("is messages, matches, members of groups, and its start, each once over several runs", async () => {
    await using sink = await openSink();
    const on = `message(), started(), match({ where: 'prop("for-sale").item == "boat"' }), property("travel", { of: "config.group", depth: "1" })`;
    await using project = await openProject({ "noter.ts": noter(on, '"inbox", "find", "read:*"') });
    const [owner, alice, bob] = await three("owner", "alice", "bob");
    const group = `${owner.address}/sailors`;
    await owner.creates(group, "group");
    const config = { sink: sink.url, group };
    const first = runs(project, "noter.ts", owner, config, "--acknowledge");
    await first.prints("listening");
    await sink.has(1);
    await alice.asks("POST", `/v1/nodes/${encodeURIComponent(owner.address)}/messages`, {
      body: { contentType: "text/plain", content: "hello" },
    });
    await alice.sets("for-sale", { item: "boat" });
    await sink.has(2);
    first.child.kill("SIGKILL");
    await first.ended;

    await owner.asks("PUT", `/v1/nodes/${encodeURIComponent(group)}/members/${bob.address}`);
    await bob.sets("travel", { city: "Kiel" });
    await using second = runs(project, "noter.ts", owner, config, "--acknowledge");
    await sink.has(5);
    second.child.kill("SIGINT");
    await second.ended;
    expect(new Set(sink.posted.map(({ body }) => body))).toEqual(
      new Set([
        `started ${owner.address}/noter`,
        `message.received ${owner.address} hello`,
        `match.entered ${alice.address}`,
        `member.joined ${group} ${bob.address}`,
        `property.changed ${bob.address} travel`,
      ]),
    );
    // What was on its way at the kill may have come twice, with the same key.
    expect(new Set(sink.posted.map(({ key }) => key)).size).toBe(5);
    expect((await owner.asks("GET", "/v1/messages")).body.messages).toEqual([]);
    expect((await owner.asks("GET", "/v1/subscriptions")).body.subscriptions).toHaveLength(2);
  });
});

describe("an agent outside that has bad luck", () => {
  it("waits for a broker that is killed, and loses nothing", async () => {
    await using sink = await openSink();
    await using project = await openProject({ "teller.ts": teller });
    const [alice, bot] = [await world.registers("alice"), await world.registers("teller")];
    await alice.grants({ who: ["authenticated"], properties: ["*"], allow: ["read", "watch"] });
    await using running = runs(project, "teller.ts", bot, { things: [alice.address], sink: sink.url });
    await running.prints("listening");
    await alice.sets("e.0", 0);
    await sink.has(2);
    await world.program.kill();
    await running.prints("trying again");
    await world.program.start();
    await alice.sets("e.1", 1);
    await sink.has(4);
    await running.prints("back again");
  }, 60_000);

  it("does not count it as a failure that the broker is away", async () => {
    await using sink = await openSink();
    const body = `if (event.type === "started") return await ctx.schedule("later", 1500);
    ctx.log.info("trying"); await ctx.set("note", "done");`;
    await using project = await openProject({ "noter.ts": noter("started()", '"read:*"', body) });
    const owner = await world.registers("owner");
    await using running = runs(project, "noter.ts", owner, { sink: sink.url }, "--backoff", "1");
    await running.prints("timer later at");
    await world.program.kill();
    // A second try is all that it would get.
    await running.prints(/(?:· trying[\s\S]*){3}/);
    await world.program.start();
    await sink.has(1);
    expect(running.stdout).not.toContain("✗");
  }, 60_000);

  it("keeps its timers: one that fell due while it was away fires at its start, once", async () => {
    await using sink = await openSink();
    const body = `if (event.type === "started") return await ctx.schedule("remind", 300, { of: "it" });`;
    await using project = await openProject({ "noter.ts": noter("started()", '"read:*"', body) });
    const owner = await world.registers("owner");
    const first = runs(project, "noter.ts", owner, { sink: sink.url });
    await first.prints("timer remind at");
    first.child.kill("SIGKILL");
    await first.ended;
    const due = Date.parse(/timer remind at (\S+)/.exec(first.stdout)?.[1] as string);
    await at(due);
    expect(sink.posted).toEqual([]);
    for (const expected of [1, 1]) {
      await using again = runs(project, "noter.ts", owner, { sink: sink.url });
      await again.prints("listening");
      await sink.has(expected);
      again.child.kill("SIGINT");
      await again.ended;
    }
    expect(sink.posted.map(({ body }) => body)).toEqual([`timer ${owner.address}/noter remind`]);
  });

  it("sets a timer once for each call, and loses no run whose timer has set itself anew", async () => {
    await using sink = await openSink();
    const body = `if (event.type === "started") {
      await ctx.schedule("soon", 20);
      const attempts = ((await ctx.state.get("attempts")) ?? 0) + 1;
      await ctx.state.set("attempts", attempts);
      if (attempts === 1) throw new Error("was that right?");
      return await ctx.schedule("beat", 50);
    }
    if (event.name === "beat") {
      await ctx.schedule("beat", 3_600_000);
      if ((await ctx.get(ctx.owner, "go")) === undefined) await new Promise(() => {});
    }`;
    await using project = await openProject({ "noter.ts": noter("started()", '"read:*"', body) });
    const owner = await world.registers("owner");
    const first = runs(project, "noter.ts", owner, { sink: sink.url }, "--backoff", "100");
    await first.prints(/(timer beat at[\s\S]*){2}/);
    first.child.kill("SIGKILL");
    await first.ended;
    await owner.sets("go", true);
    await using again = runs(project, "noter.ts", owner, { sink: sink.url });
    await again.prints("listening");
    await sink.has(2);
    again.child.kill("SIGINT");
    await again.ended;
    const node = `${owner.address}/noter`;
    expect(sink.posted.map(({ body }) => body)).toEqual([`timer ${node} soon`, `timer ${node} beat`]);
  });

  it("keeps what fails for good, tries it once more when it is told to, and repeats no step of it", async () => {
    await using sink = await openSink();
    const flaky = `
import { defineAgent, message } from "tidings/agent";
export default defineAgent({
  name: "flaky", version: "1.0.0", permissions: ["inbox", "fetch:*"], on: [message()],
  async handle(event, ctx) {
    await ctx.step("tell", async () => { await ctx.fetch("${sink.url}/tell", { method: "POST", body: "" }); });
    if (process.env.FLAKY === "1") throw new Error("not today");
    await ctx.fetch("${sink.url}/done", { method: "POST", body: "" });
  },
});`;
    await using project = await openProject({ "flaky.ts": flaky });
    const [owner, alice] = await three("owner", "alice");
    await alice.asks("POST", `/v1/nodes/${encodeURIComponent(owner.address)}/messages`, {
      body: { contentType: "text/plain", content: "hello" },
    });
    const env = { TIDINGS_URL: world.url, TIDINGS_TOKEN: owner.token as string };
    const typed = ["agent", "run", "flaky.ts"];
    {
      await using first = openCommand([...typed, "--backoff", "10,10"], {
        cwd: project.path,
        env: { ...env, FLAKY: "1" },
      });
      await first.prints(/message\.received .*: Error: not today \(attempt 1; it will be tried again\)/);
      await first.prints(/not today \(attempt 3, the last: kept as a dead letter\)/);
      const second = await types(typed, { cwd: project.path, env });
      expect(second).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/flaky\.db is in use: the agent runs already/),
      });
    }
    const stranger = await types(typed, {
      cwd: project.path,
      env: { ...env, TIDINGS_TOKEN: alice.token as string },
    });
    expect(stranger).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is of owner-\d+@localhost, and the token of alice/),
    });
    await using again = openCommand([...typed, "--retry-dead"], { cwd: project.path, env });
    await again.prints("done in");
    expect(sink.posted.map(({ path }) => path)).toEqual(["/tell", "/done"]);
  });

  it("is told in one line why it cannot run", async () => {
    const wrong: [file: string, text: string | undefined, line: RegExp][] = [
      ["none.ts", undefined, /^tidings: none\.ts cannot be loaded: there is no such file\.\n$/],
      ["five.ts", "export default 5;", /^tidings: five\.ts: a module of an agent exports it by default/],
      ["named.ts", "export const a = 5;", /^tidings: named\.ts exports no agent: it needs "export default/],
      ["throws.ts", "\n\nthrow new Error('no');", /^tidings: throws\.ts cannot be loaded: no \(line 3\)/],
      ["fly.ts", noter("started()", '"fly"'), /^tidings: fly\.ts cannot be loaded: .*"fly" is unknown/],
      ["config.ts", noter("started()", '"find"'), /^tidings: the config of "noter" does not fit: .*sink/],
    ];
    await using project = await openProject({});
    const owner = await world.registers("owner");
    const endings = wrong.map(async ([file, text]) => {
      if (text !== undefined) project.write(file, text);
      await using command = runs(project, file, owner, {});
      return await command.ended;
    });
    for (const [index, { code, stderr }] of (await Promise.all(endings)).entries()) {
      expect(stderr).toMatch(wrong[index]?.[2] as RegExp);
      expect({ code, lines: stderr.trimEnd().split("\n").length }).toEqual({ code: 1, lines: 1 });
    }
  });

  it("ends when its token does", async () => {
    await using sink = await openSink();
    await using project = await openProject({ "noter.ts": noter("started()", '"read:*"') });
    const owner = await world.registers("owner");
    const { id, token } = (await owner.asks("POST", "/v1/tokens", { body: { name: "bot" } })).body;
    await using running = runs(project, "noter.ts", owner.with(token), { sink: sink.url });
    await running.prints("listening");
    await owner.asks("DELETE", `/v1/tokens/${id}`);
    expect(await running.ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/\(unauthenticated\)/),
    });
  });
});

async function three(...names: string[]): Promise<[Person, Person, Person]> {
  const people: Person[] = [];
  for (const name of names) people.push(await world.registers(name));
  return people as [Person, Person, Person];
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

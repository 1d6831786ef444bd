// The AsyncAPI document against the program: valid for an independent parser, and what is really said fits it.
// In: the document, a broker on the memory log. Out: what one has and the other has not. Never: a schema of its own.
import { Parser } from "@asyncapi/parser";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { WebSocket } from "ws";
import { events } from "../../schemas/wire/events.ts";
import { frames } from "../../schemas/wire/frames.ts";
import { acknowledges, sends } from "../conversations/post.ts";
import { openSocket, type Told } from "../conversations/socket.ts";
import { aWorld, type Data, type Heard, nodePath } from "../conversations/world.ts";

// Bookmarks come by the clock.
beforeAll(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
const bookmarkMs = 30_000;
/** Of a log that is no more. */
const lostCursor = "elsewhere-1-0-1";

const world = aWorld("memory");
// Before the world ends, which takes time that passes.
afterAll(() => void vi.useRealTimers());
const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);
let document: Data;
beforeAll(async () => {
  const answer = await world.stranger.asks("GET", "/asyncapi.json");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  document = answer.body;
  ajv.addSchema(sealed(document), "asyncapi");
});

describe("/asyncapi.json", () => {
  test("is valid AsyncAPI 3 for a parser that knows nothing of us", async () => {
    expect(document.asyncapi).toMatch(/^3\./);
    const found = await new Parser().validate(document as never);
    // There is nobody to name for all brokers.
    expect(found.filter(({ code }) => code !== "asyncapi-info-contact")).toEqual([]);
  });

  test("has an operation for each frame, and a message for each frame, reply and event", () => {
    const { channels, operations } = document;
    for (const op of Object.keys(frames)) {
      const messages = [op, `${op}.ok`, "problem"].map((name) => ({
        $ref: `#/channels/socket/messages/${name}`,
      }));
      expect(operations[op]).toMatchObject({
        action: "send",
        messages: messages.slice(0, 1),
        reply: { messages: messages.slice(1) },
      });
      expect(channels.socket.messages[op].payload).toEqual(JSON.parse(JSON.stringify(frames[op])));
    }
    const types = Object.keys(events);
    const told = types.map((type) => ({ $ref: `#/channels/events/messages/${type}` }));
    expect(operations.receiveEvents).toMatchObject({ action: "receive", messages: told });
    expect(Object.keys(channels.events.messages)).toEqual(expect.arrayContaining(types));
    expect(channels.socket.messages.event.payload.properties.event.oneOf).toHaveLength(types.length);
  });

  test.each([
    [1003, (raw: WebSocket) => raw.send(Buffer.from([1]))],
    [1008, (raw: WebSocket) => Array.from({ length: 30 }, () => raw.send("rubbish"))],
    [1009, (raw: WebSocket) => raw.send(`"${"x".repeat(300_000)}"`)],
  ])("says why a socket is closed with %i", async (code, misbehave) => {
    await using socket = await openSocket(world.url, { token: (await world.registers("eve")).token });
    misbehave(socket.raw);
    const closed = await socket.closed;
    expect(closed.code).toBe(code);
    const said = document.channels.socket["x-close-codes"];
    expect(said[code]).toContain(closed.reason);
    expect(Object.keys(said)).toEqual(["1003", "1008", "1009", "1012"]);
  });

  test("says how to connect in the words of the routes", async () => {
    const { paths } = (await world.stranger.asks("GET", "/openapi.json")).body;
    for (const [operation, path] of [
      ["openEvents", "/v1/events"],
      ["poll", "/v1/poll"],
    ] as const) {
      const { query } = document.operations[operation].bindings.http;
      const asked = (paths[path].get.parameters as Data[]).filter((one) => one.in === "query");
      expect(Object.keys(query.properties)).toEqual(asked.map(({ name }) => name));
    }
    expect(document.channels.socket.bindings.ws).toMatchObject({
      query: { properties: { after: { type: "string" }, ticket: { type: "string" } } },
      headers: { properties: { "Sec-WebSocket-Protocol": { const: "tidings.v1" } } },
    });
  });
});

describe("what is said fits /asyncapi.json", () => {
  test("every event, on a stream and on a socket", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const bike = `${alice.address}/bike`;
    await alice.sets("travel", { city: "Oslo" }, { lease: { seconds: 60 } });
    const kept = await bob.asks("POST", "/v1/subscriptions", { body: { target: bike } });
    // Whoever hears this knows that it has passed all others by.
    await alice.watches(alice, "unwatched");
    const onStream: Heard[] = [];
    const onSocket: Told[] = [];
    const { snapshot, live } = await bob.watches(alice, "travel,note", { also: ["zoe@localhost"] });
    onStream.push(...snapshot, live);
    await using socket = await openSocket(world.url, { token: bob.token });
    await socket.does("watch", { target: alice.address, properties: ["travel", "note"] });
    await socket.does("watch", { target: "zoe@localhost" });
    const carol = await world.registers("carol");
    await bob.sets("profile", { name: "Bob" });
    const group = `${bob.address}/chess`;
    await bob.asks("PUT", nodePath(group), { body: { kind: "group", joining: "approval" } });
    const member = `${nodePath(group)}/members/${encodeURIComponent(carol.address)}`;
    const story: [type: string, happens: () => Promise<unknown>][] = [
      [
        "property.removed",
        async () => {
          const lease = { seconds: 1 };
          await alice.sets("travel", { city: "Rome" }, { lease: { ...lease, default: {} } });
          await alice.sets("note", 1, { lease });
        },
      ],
      ["node.registered", async () => await world.registers("zoe", { handle: "zoe" })],
      ["subscription.active", async () => await alice.creates(bike)],
      ["subscription.pending", async () => await alice.asks("DELETE", nodePath(bike))],
      ["subscription.ended", async () => await bob.asks("DELETE", `/v1/subscriptions/${kept.body.id}`)],
      ["watcher.fetched", async () => await carol.gets(bob, "profile")],
      ["watcher.started", async () => await carol.watches(bob, "profile", { withoutBell: true })],
      ["watcher.ended", async () => await carol.leaves()],
      ["watcher.denied", async () => await carol.sees(bob, "contact")],
      [
        "watcher.pending",
        async () => await carol.subscribes({ target: bob.address, properties: ["contact"] }),
      ],
      [
        "match.entered",
        async () => {
          await bob.subscribes({ query: { q: "zebra" } });
          await alice.sets("stall", "a zebra");
        },
      ],
      ["match.left", async () => await alice.removes("stall")],
      ["member.pending", async () => await carol.asks("PUT", member)],
      ["member.joined", async () => await bob.asks("PUT", member)],
      ["member.left", async () => await bob.asks("DELETE", member)],
      ["message.received", async () => await sends(carol, bob, "Hello", { invitation: { media: "audio" } })],
      [
        "message.delivered",
        async () => {
          const rule = { who: [bob.address], properties: ["receipts"] };
          await carol.grants({ ...rule, allow: ["message", "read"] });
          await acknowledges(carol, await sends(bob, carol, "Hello"));
        },
      ],
      [
        "message.read",
        async () => await acknowledges(carol, await sends(bob, carol, "Hello?"), "?read=true"),
      ],
      [
        "match.entered",
        async () => {
          await bob.subscribes({ query: { q: "goldfinch" } });
          await alice.sets("note", "a goldfinch");
        },
      ],
      ["match.left", async () => await alice.removes("note")],
      [
        "stream.bookmark",
        async () => {
          await alice.sets("unwatched", 1);
          await alice.hearsThrough("property.changed");
          vi.advanceTimersByTime(bookmarkMs);
        },
      ],
      [
        "node.moved",
        async () => {
          await carol.grants({ who: [bob.address], properties: ["*"], allow: ["watch"] });
          const body = { to: carol.address, until: "2099-01-01T00:00:00Z" };
          await alice.asks("PUT", `${nodePath(alice.address)}/forward`, { body });
        },
      ],
    ];
    for (const [type, happens] of story) {
      await happens();
      onStream.push(...(await bob.hearsThrough(type)));
      onSocket.push(...(await socket.hearsThrough(type)));
    }
    onStream.push(...(await bob.watches("zoe@localhost", undefined, { after: lostCursor })).snapshot);
    const query = `?after=${lostCursor}`;
    await using late = await openSocket(world.url, { token: bob.token, query });
    onSocket.push(...(await late.hearsThrough("stream.live")));

    for (const { event, cursor } of onStream) {
      expect(misfits("events", event.type, event)).toBe("");
      expect(misfits("events", event.type, { id: cursor, event: event.type }, "headers")).toBe("");
    }
    for (const frame of onSocket) expect(misfits("socket", "event", frame)).toBe("");
    const all = Object.keys(events).toSorted();
    for (const heard of [onStream, onSocket]) {
      expect([...new Set(heard.map(({ event }) => event.type))].toSorted()).toEqual(all);
    }
  });

  test("what a slow reader is told of what it was spared", async () => {
    const alice = await world.registers("alice");
    await using socket = await openSocket(world.url, { token: alice.token });
    await socket.does("watch", { target: alice.address });
    await socket.hearsThrough("stream.live");
    socket.raw.pause();
    // More than lies in the buffers of two sockets.
    for (let count = 0; count < 400; count++) await alice.sets("long", `${count} ${"-".repeat(60_000)}`);
    await alice.removes("long");
    socket.raw.resume();
    const heard = await socket.hearsThrough("property.removed");
    expect(heard.at(-1)?.event.data.skipped).toBeGreaterThan(0);
    for (const frame of heard) expect(misfits("socket", "event", frame)).toBe("");
  });

  test("every command and its reply", async () => {
    const alice = await world.registers("alice");
    const node = alice.address;
    await using socket = await openSocket(world.url, { token: alice.token });
    const lease = { seconds: 60, id: "trip", default: {} };
    const commands: [op: string, fields: Data][] = [
      ["ping", {}],
      ["set", { node, name: "travel", value: { city: "Oslo" }, lease }],
      ["patch", { node, set: { count: { value: 1 }, other: { value: 2 } }, remove: ["nothing"] }],
      ["send", { to: node, contentType: "text/plain", content: "Hello" }],
      ["renew", { lease: "trip", seconds: 90 }],
      ["delete", { node, name: "count" }],
      ["watch", { target: node, properties: ["*"], depth: "0" }],
      ["unwatch", {}],
    ];
    expect(commands.map(([op]) => op).toSorted()).toEqual(Object.keys(frames).toSorted());
    let subscription: unknown;
    for (const [op, rest] of commands) {
      const fields = op === "unwatch" ? { subscription } : rest;
      expect(misfits("socket", op, { id: 1, op, ...fields })).toBe("");
      const reply = await socket.asks(op, fields);
      expect(misfits("socket", `${op}.ok`, reply)).toBe("");
      if (op === "watch") subscription = reply.ok.subscription;
      expect(misfits("socket", "problem", await socket.asks(op, { unheard: "of" }))).toBe("");
    }
    socket.raw.send("[]");
    expect(misfits("socket", "problem", await socket.answer())).toBe("");
  });

  test("every answer over HTTP", async () => {
    const alice = await world.registers("alice");
    await alice.sets("travel", { city: "Oslo" });
    const polled = await alice.asks("GET", `/v1/poll?watch=${alice.address}`);
    expect(polled.body.events).toHaveLength(1);
    expect(misfits("poll", "polled", polled.body)).toBe("");
    for (const channel of ["poll", "events"]) {
      const { address, messages } = document.channels[channel];
      const refused = await alice.asks("GET", `${address}?after=nonsense`);
      expect(misfits(channel, "problem", refused.body)).toBe("");
      expect(refused.headers.get("content-type")).toContain(messages.problem.contentType);
    }
  });
});

/** The same schemas, taking nothing that they do not name. */
function sealed(schema: unknown): Data {
  return JSON.parse(JSON.stringify(schema), (_, part) =>
    part?.type === "object" && part.properties ? { additionalProperties: false, ...part } : part,
  );
}

/** Says what is wrong with it, so that a failure shows it. */
function misfits(channel: string, message: string, payload: unknown, part = "payload"): string {
  const pointer = `asyncapi#/channels/${channel}/messages/${message}/${part}`;
  const fits = ajv.getSchema(pointer) as ValidateFunction | undefined;
  if (fits === undefined) return `${pointer} is not there`;
  return fits(payload) ? "" : `${message} ${ajv.errorsText(fits.errors)} ${JSON.stringify(payload)}`;
}

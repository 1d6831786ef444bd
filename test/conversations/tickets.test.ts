// Tickets: one way in for a browser, which cannot send headers there, good once and nowhere else.
import { describe, expect, test } from "vitest";
import { openSocket } from "./socket.ts";
import { aWorld, openEventStream, type Person, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const refused = { status: 401, code: "unauthenticated" };

describe.each(stages)("tickets on the %s log", (stage) => {
  const world = aWorld(stage);
  const asksFor = async (who: Person): Promise<string> => {
    const answer = await who.asks("POST", "/v1/tickets");
    expect(answer.status).toBe(201);
    return answer.body.ticket;
  };
  const streams = async (ticket: string) =>
    await openEventStream(`${world.url}/v1/events?ticket=${encodeURIComponent(ticket)}`);
  const dials = async (ticket: string) =>
    await openSocket(world.url, { query: `?ticket=${encodeURIComponent(ticket)}` });

  test("one is given to an account, for half a minute", async () => {
    const alice = await world.registers("alice");
    const { status, body, headers } = await alice.asks("POST", "/v1/tickets");
    expect(status).toBe(201);
    expect(body).toEqual({
      ticket: expect.stringMatching(/^[A-Za-z0-9_-]{20,}$/),
      expires: expect.any(String),
    });
    expect(headers.get("cache-control") ?? "").not.toMatch(/public|max-age/);
    const goodMs = Date.parse(body.expires) - Date.now();
    expect(goodMs).toBeGreaterThan(25_000);
    expect(goodMs).toBeLessThanOrEqual(30_000);
    expect((await world.stranger.asks("POST", "/v1/tickets")).status).toBe(401);
    expect(await asksFor(alice)).not.toBe(body.ticket);
  });

  test("it opens one stream, with what its owner is told", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    await bob.subscribes({ target: alice.address });
    const ticket = await asksFor(bob);
    await using stream = await streams(ticket);
    expect((await stream.next()).event.data).toMatchObject({ node: alice.address, value: oslo });
    await expect(streams(ticket)).rejects.toMatchObject(refused);
    await expect(dials(ticket)).rejects.toMatchObject(refused);
  });

  test("it opens one socket, which does what its owner may do", async () => {
    const bob = await world.registers("bob");
    const ticket = await asksFor(bob);
    await using socket = await dials(ticket);
    await socket.does("set", { node: bob.address, name: "travel", value: oslo });
    expect(await bob.sees(bob, "travel")).toEqual(oslo);
    await expect(dials(ticket)).rejects.toMatchObject(refused);
    await expect(streams(ticket)).rejects.toMatchObject(refused);
  });

  test("of many who come with it at once exactly one gets in", async () => {
    const bob = await world.registers("bob");
    const ticket = await asksFor(bob);
    const all = await Promise.allSettled(Array.from({ length: 10 }, () => streams(ticket)));
    for (const one of all) if (one.status === "fulfilled") await one.value[Symbol.asyncDispose]();
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const one of all) if (one.status === "rejected") expect(one.reason).toMatchObject(refused);
  });

  test("what is none is refused", async () => {
    for (const ticket of ["nonsense", "x".repeat(32), "x".repeat(5_000), "*", ">", "a.b"]) {
      await expect(streams(ticket), ticket.slice(0, 40)).rejects.toMatchObject(refused);
      await expect(dials(ticket), ticket.slice(0, 40)).rejects.toMatchObject(refused);
    }
    await expect(streams("")).rejects.toMatchObject(refused);
  });

  test("with its token, or its account, it ends", async () => {
    const bob = await world.registers("bob");
    const { id, token } = (await bob.asks("POST", "/v1/tokens", { body: {} })).body;
    const tickets = [await asksFor(bob.with(token)), await asksFor(bob.with(token))] as const;
    await bob.asks("DELETE", `/v1/tokens/${id}`);
    await expect(streams(tickets[0])).rejects.toMatchObject(refused);
    await expect(dials(tickets[1])).rejects.toMatchObject(refused);
    const last = await asksFor(bob);
    await bob.asks("DELETE", "/v1/me");
    await expect(streams(last)).rejects.toMatchObject(refused);
  });

  test("a stream that it opened ends with the token that asked for it", async () => {
    const bob = await world.registers("bob");
    const { id, token } = (await bob.asks("POST", "/v1/tokens", { body: {} })).body;
    await using stream = await streams(await asksFor(bob.with(token)));
    await using socket = await dials(await asksFor(bob.with(token)));
    await bob.asks("DELETE", `/v1/tokens/${id}`);
    const revokedMs = performance.now();
    await stream.ended;
    expect((await socket.closed).code).toBe(1008);
    expect(performance.now() - revokedMs).toBeLessThan(1_000);
  });

  test("it reaches as far as the token that asked for it", async () => {
    const bob = await world.registers("bob");
    const body = { scopes: ["watch"] };
    const { token } = (await bob.asks("POST", "/v1/tokens", { body })).body;
    await using socket = await dials(await asksFor(bob.with(token)));
    const frame = { node: bob.address, name: "travel", value: oslo };
    expect(await socket.fails("set", frame)).toMatchObject({ status: 403, code: "scope-missing" });
  });

  test("no other route takes it, and is none the wiser", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    const ticket = await asksFor(bob);
    for (const [method, path] of [
      ["GET", "/v1/me"],
      ["GET", "/v1/tokens"],
      ["POST", "/v1/tickets"],
      ["GET", "/v1/subscriptions"],
      ["GET", "/v1/poll"],
      ["DELETE", "/v1/me"],
    ] as const) {
      const { status } = await world.stranger.asks(method, `${path}?ticket=${ticket}`);
      expect([400, 401], `${method} ${path}`).toContain(status);
      const headers = { authorization: `Bearer ${ticket}` };
      expect((await world.stranger.asks(method, path, { headers })).status, `${method} ${path}`).toBe(401);
    }
    const node = `/v1/nodes/${encodeURIComponent(alice.address)}?ticket=${ticket}`;
    expect((await world.stranger.asks("GET", node)).status).not.toBe(200);
    const stream = await streams(ticket);
    await stream[Symbol.asyncDispose]();
  });
});

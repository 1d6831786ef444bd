// Quotas as callers meet them: what an answer says is left, the refusal that says when to come back, and whom it leaves alone.
import { describe, expect, test } from "vitest";
import { usualLimits } from "../../services/http/quotas.ts";
import { openSocket } from "./socket.ts";
import { type Answer, aWorld, nodePath, type Person, propertyPath } from "./world.ts";

/** Next to nothing comes back while a test runs. */
const limits = {
  ...usualLimits,
  requests: { burst: 40, perSecond: 0.01 },
  writes: { burst: 10, perSecond: 0.005 },
  subscriptions: { burst: 4, perSecond: 0.001 },
};
const left = (answer: Answer): number =>
  Number(/"requests";r=(\d+)/.exec(answer.headers.get("ratelimit") ?? "")?.[1]);

describe("an account", () => {
  const world = aWorld("memory", { limits });

  async function readsUntilRefused(who: Person, path: string): Promise<Answer> {
    for (let n = 0; n < 60; n++) {
      const answer = await who.asks("GET", path);
      if (answer.status === 429) return answer;
    }
    throw new Error("nothing was refused");
  }

  test("is told in every answer what is left, and refused when it is used up", async () => {
    const alice = await world.registers("alice");
    const first = await alice.asks("GET", "/v1/me");
    expect(first.headers.get("ratelimit-policy")).toBe('"requests";q=40;w=4000');
    expect(first.headers.get("ratelimit")).toBe('"requests";r=38;t=200');
    expect(left(await alice.asks("GET", "/v1/nowhere/at/all"))).toBe(38);
    const refused = await readsUntilRefused(alice, "/v1/me");
    expect(refused.body).toMatchObject({ code: "rate-limited", status: 429 });
    expect(refused.headers.get("retry-after")).toMatch(/^(9\d|100)$/);
    expect(refused.headers.get("ratelimit")).toMatch(/^"requests";r=0;t=(9\d|100)$/);
    const bob = await world.registers("bob");
    expect((await bob.asks("GET", "/v1/me")).status).toBe(200);
    for (const path of ["/livez", "/readyz", "/metrics"]) {
      const answer = await alice.asks("GET", path);
      expect([answer.status, answer.headers.get("ratelimit")]).toEqual([200, null]);
    }
    expect((await alice.asks("GET", "/metrics")).text).toMatch(
      /tidings_rate_limited_total\{quota="requests"\} \d/,
    );
  });

  test("has fewer writes than requests, and can revoke when it has none left", async () => {
    const alice = await world.registers("alice");
    const path = propertyPath(alice.address, "travel");
    const answer = await alice.puts("travel", { city: "Oslo" });
    expect(answer.headers.get("ratelimit-policy")).toBe('"requests";q=40;w=4000, "writes";q=10;w=2000');
    expect(answer.headers.get("ratelimit")).toBe('"requests";r=38;t=200, "writes";r=9;t=200');
    for (let n = 0; n < 9; n++) await alice.removes("travel");
    const refused = await alice.asks("PUT", path, { body: { value: { city: "Rome" } } });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toMatch(/^(19\d|200)$/);
    expect(await alice.sees(alice, "travel")).toBeUndefined();
    expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
  });

  test("makes only so many subscriptions at once", async () => {
    const alice = await world.registers("alice");
    for (let n = 0; n < 4; n++) await alice.subscribes({ target: `friend-${n}@localhost` });
    const refused = await alice.asks("POST", "/v1/subscriptions", { body: { target: "fifth@localhost" } });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toMatch(/^(99\d|1000)$/);
    expect((await alice.asks("GET", "/v1/subscriptions")).body.subscriptions).toHaveLength(4);
  });

  test("has one quota for REST and sockets", async () => {
    const alice = await world.registers("alice");
    await using socket = await openSocket(world.url, { token: alice.token });
    const set = { node: alice.address, name: "count", value: 1 };
    for (let n = 0; n < 10; n++) await socket.does("set", set);
    expect(await socket.fails("set", set)).toMatchObject({ code: "rate-limited", status: 429 });
    expect(await socket.fails("renew", { lease: "x" })).toMatchObject({ code: "rate-limited" });
    expect(await socket.does("ping")).toEqual({});
    await expect(alice.sets("count", 2)).rejects.toMatchObject({ code: "rate-limited" });
    await Promise.all(Array.from({ length: 40 }, async () => await socket.asks("ping")));
    expect(await socket.fails("ping")).toMatchObject({ code: "rate-limited" });
    await expect(openSocket(world.url, { token: alice.token })).rejects.toMatchObject({
      code: "rate-limited",
    });
    expect((await alice.asks("GET", "/v1/me")).status).toBe(429);
  });
});

describe("whoever asks for address after address", () => {
  const unknownMax = 20;
  const world = aWorld("memory", {
    limits: { ...usualLimits, enumeration: { unknownMax, windowMs: 3_600_000 } },
  });
  const nobody = (n: number): string => `nobody-${n}@localhost`;
  /** What must not tell whether somebody is there. */
  const shown = ({ status, text, headers }: Answer): string =>
    JSON.stringify([status, text.replace(/\d+ s\b/, "a while"), [...headers.keys()].sort()]);

  /** Each way to ask, as the answer to it. */
  const ways: [string, (who: Person, address: string) => Promise<Answer>][] = [
    ["a node", async (who, address) => await who.asks("GET", nodePath(address))],
    ["a node's head", async (who, address) => await who.asks("HEAD", nodePath(address))],
    ["a property", async (who, address) => await who.asks("GET", propertyPath(address, "travel"))],
    [
      "a stream",
      async (who, address) => await who.asks("GET", `/v1/poll?watch=${encodeURIComponent(address)}`),
    ],
    [
      "a subscription",
      async (who, target) => await who.asks("POST", "/v1/subscriptions", { body: { target } }),
    ],
    [
      "an e-mail address",
      async (who, address) =>
        await who.asks("POST", "/v1/subscriptions", { body: { target: `mailto:${address}` } }),
    ],
  ];

  test.each(ways)(
    "asking for %s uses up its guesses, and is then refused for everybody alike",
    async (what, asks) => {
      const alice = await world.registers("alice");
      const here = await world.registers("here", { email: `${what.replaceAll(" ", "-")}@example.com` });
      await here.sets("travel", { city: "Oslo" });
      const there = what === "an e-mail address" ? "an-e-mail-address@example.com" : here.address;
      for (let n = 0; n < unknownMax; n++) {
        expect((await asks(alice, there)).status).toBeLessThan(300);
        const answer = await asks(alice, nobody(n));
        expect(answer.status).not.toBe(429);
        // Neither asking again counts, nor who is there, nor what is one's own.
        expect(await asks(alice, nobody(0)).then(({ status }) => status)).toBe(answer.status);
        await asks(alice, `${alice.address}/none-${n}`);
      }
      const unknown = await asks(alice, nobody(unknownMax));
      expect(unknown.status).toBe(429);
      expect(Number(unknown.headers.get("retry-after"))).toBeGreaterThan(3_500);
      expect(shown(await asks(alice, there))).toBe(shown(unknown));
      expect((await asks(alice, nobody(3))).status).not.toBe(429);
      const bob = await world.registers("bob");
      expect((await asks(bob, there)).status).toBeLessThan(300);
    },
  );

  test("is refused in the same way on streams and sockets", async () => {
    const alice = await world.registers("alice");
    const here = await world.registers("here");
    await using socket = await openSocket(world.url, { token: alice.token });
    for (let n = 0; n < unknownMax; n++) await socket.does("watch", { target: nobody(n) });
    for (const target of [nobody(unknownMax), here.address]) {
      expect(await socket.fails("watch", { target })).toMatchObject({ code: "rate-limited" });
      const query = `?watch=${encodeURIComponent(target)}`;
      expect((await alice.asks("GET", `/v1/events${query}`)).status).toBe(429);
      await expect(openSocket(world.url, { token: alice.token, query })).rejects.toMatchObject({
        code: "rate-limited",
      });
    }
    expect(await socket.does("watch", { target: nobody(1) })).toMatchObject({ state: "pending" });
    expect(await socket.does("watch", { target: alice.address })).toMatchObject({ state: "active" });
  });

  test("learns no more by asking for many at once", async () => {
    const alice = await world.registers("alice");
    const answers = await Promise.all(
      Array.from({ length: 10 * unknownMax }, async (_, n) => await alice.asks("GET", nodePath(nobody(n)))),
    );
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(unknownMax);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(9 * unknownMax);
  });
});

describe("answers that are to look the same", () => {
  const world = aWorld("memory");

  test("say the same of what is left", async () => {
    const alice = await world.registers("alice");
    const said: (string | null)[] = [];
    for (let n = 0; n < 10; n++) {
      said.push((await alice.asks("GET", nodePath(`nobody-${n}@localhost`))).headers.get("ratelimit"));
    }
    expect(new Set(said)).toEqual(new Set(['"requests";r=19000;t=1']));
    expect((await alice.puts("travel", { city: "Oslo" })).headers.get("ratelimit")).toBe(
      '"requests";r=19000;t=1, "writes";r=14250;t=2',
    );
  });
});

describe("a roster of 500", () => {
  const world = aWorld("memory");

  test("loads at once, by any way, again and again", async () => {
    const alice = await world.registers("alice");
    const roster = Array.from({ length: 500 }, (_, n) => `friend-${n}@localhost`);
    const watch = `?${new URLSearchParams(roster.map((one): [string, string] => ["watch", one]))}`;
    await using socket = await openSocket(world.url, { token: alice.token });
    for (let round = 0; round < 3; round++) {
      const reads = await Promise.all(roster.map(async (one) => await alice.asks("GET", nodePath(one))));
      expect(reads.filter(({ status }) => status === 429)).toEqual([]);
      expect((await alice.asks("GET", `/v1/poll${watch}`)).status).toBe(200);
      const watches = await Promise.all(roster.map(async (target) => await socket.asks("watch", { target })));
      expect(watches.filter(({ problem }) => problem !== undefined)).toEqual([]);
    }
    for (const target of roster) await alice.subscribes({ target });
  });
});

describe("a client without a token", () => {
  const world = aWorld("memory", { limits });

  test("is counted by its address, also for tokens that are not good, and still registers", async () => {
    const alice = await world.registers("alice");
    const forger = world.knows(alice.address, "Ym9i.0123456789abcdef.0123456789abcdef0123456789abcdef");
    const statuses: number[] = [];
    for (let n = 0; n < 25; n++) {
      statuses.push((await forger.asks("GET", "/v1/me")).status);
      statuses.push((await world.stranger.asks("GET", nodePath(alice.address))).status);
    }
    expect(statuses.slice(0, 40)).toEqual(Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? 401 : 404)));
    expect(statuses.at(-1)).toBe(429);
    await world.registers("bob");
    expect((await alice.asks("GET", "/v1/me")).status).toBe(200);
  });
});

describe("with TIDINGS_RATE_LIMIT=off", () => {
  const world = aWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } });

  test("nothing is counted", async () => {
    const alice = await world.registers("alice");
    const answer = await alice.asks("GET", "/v1/me");
    expect([answer.status, answer.headers.get("ratelimit")]).toEqual([200, null]);
  });
});

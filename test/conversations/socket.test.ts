// The socket: commands and events on one connection, and what it does with those who speak it badly.

import { connect, type Socket as TcpSocket } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterEach, describe, expect, test } from "vitest";
import { type Dialling, openSocket, type Socket, type Told } from "./socket.ts";
import { aWorld, type Data, longStages, openWorld, type Person, propertyPath } from "./world.ts";

const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const told = (heard: readonly Told[]): string[] =>
  heard.map(({ event }) => `${event.type.replace("dev.tidings.", "")} ${event.data.name ?? ""}`.trim());

describe.each(longStages)("sockets on the %s log", (stage) => {
  const world = aWorld(stage);
  const open: Socket[] = [];
  const dials = async (who: Person, wish: Dialling = {}): Promise<Socket> => {
    const socket = await openSocket(world.url, { token: who.token, ...wish });
    open.push(socket);
    return socket;
  };
  afterEach(async () => {
    for (const socket of open.splice(0)) await socket[Symbol.asyncDispose]();
  });
  /** The broker still answers on it. */
  const works = async (socket: Socket): Promise<void> =>
    expect(await socket.asks("ping")).toMatchObject({ ok: expect.anything() });

  describe("commands", () => {
    test("the subprotocol is tidings.v1, and ping is answered", async () => {
      const socket = await dials(await world.registers("alice"));
      expect(socket.raw.protocol).toBe("tidings.v1");
      await works(socket);
      socket.raw.send(JSON.stringify({ id: "seven", op: "ping" }));
      expect(await socket.answer()).toEqual({ id: "seven", ok: {} });
    });

    test("set, patch, delete and renew do what they do over REST", async () => {
      const alice = await world.registers("alice");
      const socket = await dials(alice);
      const node = alice.address;
      const set = await socket.does("set", { node, name: "travel", value: oslo });
      expect(set).toEqual(await alice.gets(alice, "travel"));
      await socket.does("patch", {
        node,
        set: { one: { value: 1 }, two: { value: 2, lease: { seconds: 60 } } },
        remove: ["travel"],
      });
      expect(await alice.sees(alice, "travel")).toBeUndefined();
      expect(await alice.sees(alice, "one")).toBe(1);
      const { lease } = await alice.gets(alice, "two");
      const renewed = await socket.does("renew", { lease: lease?.id, seconds: 120 });
      expect(renewed).toMatchObject({ id: lease?.id, until: expect.any(String) });
      expect((await alice.gets(alice, "two")).lease).toMatchObject({ seconds: 120, until: renewed.until });
      await socket.does("delete", { node, name: "one" });
      expect(await alice.sees(alice, "one")).toBeUndefined();
      // Also when absent.
      await socket.does("delete", { node, name: "one" });
    });

    test("two hundred at once are all answered, each by its number", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.watches(alice, "count");
      const socket = await dials(alice);
      const node = alice.address;
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, value) => socket.asks("set", { node, name: "count", value })),
      );
      expect(answers.map(({ ok }) => ok?.value)).toEqual(Array.from({ length: 200 }, (_, value) => value));
      expect(new Set(answers.map(({ ok }) => ok.revision)).size).toBe(200);
      const last = answers.toSorted((a, b) => a.ok.revision - b.ok.revision).at(-1)?.ok;
      expect((await alice.gets(alice, "count")).revision).toBe(last.revision);
      const heard = await bob.hearsUpToNow();
      expect(heard.at(-1)?.event.data).toMatchObject({ value: last.value, revision: last.revision });
      const declared = heard.map(({ event }) => 1 + (event.data.skipped ?? 0)).reduce((a, b) => a + b, 0);
      expect(declared).toBe(200);
    });

    test("what one connection says in a row happens in that order", async () => {
      const alice = await world.registers("alice");
      const socket = await dials(alice);
      const node = alice.address;
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, value) => socket.does("set", { node, name: "count", value })),
      );
      const revisions = answers.map(({ revision }) => revision as number);
      expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
      expect(await alice.sees(alice, "count")).toBe(49);
    });

    test("conditions and keys mean what they mean over REST", async () => {
      const alice = await world.registers("alice");
      const socket = await dials(alice);
      const frame = { node: alice.address, name: "travel" };
      const { revision } = await socket.does("set", { ...frame, value: oslo, ifNoneMatch: "*" });
      const mismatch = { status: 412, code: "revision-mismatch" };
      expect(await socket.fails("set", { ...frame, value: rome, ifNoneMatch: "*" })).toMatchObject(mismatch);
      expect(await socket.fails("set", { ...frame, value: rome, ifMatch: 1 })).toMatchObject(mismatch);
      expect(await socket.fails("delete", { ...frame, ifMatch: 1 })).toMatchObject(mismatch);
      const once = { ...frame, value: rome, ifMatch: revision, idempotencyKey: "k-1" };
      const first = await socket.does("set", once);
      expect(await socket.does("set", once)).toEqual(first);
      expect(await socket.fails("set", { ...once, value: oslo })).toMatchObject({
        status: 422,
        code: "idempotency-mismatch",
      });
      expect((await alice.gets(alice, "travel")).revision).toBe(first.revision);
    });

    test("a problem is the same as over REST", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const socket = await dials(alice);
      const frame = { node: alice.address, name: "travel", value: oslo };
      for (const wish of [
        { node: "nobody" },
        { name: "Travel" },
        { value: "no object" },
        { value: { city: "x".repeat(70_000) } },
        { lease: { seconds: 0.1 } },
        { node: bob.address },
      ]) {
        const { node, name, ...body } = { ...frame, ...wish };
        const path = `/v1/nodes/${encodeURIComponent(node)}/properties/${encodeURIComponent(name)}`;
        const answer = await alice.asks("PUT", path, { body });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        const { type, title, status, code, detail } = answer.body;
        const problem = await socket.fails("set", { node, name, ...body });
        expect(problem).toMatchObject({ type, title, status, code, detail });
      }
      await works(socket);
    });

    test("a token reaches as far as over REST", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.patches({ set: { travel: { value: oslo }, other: { value: 1 } } });
      await bob.subscribes({ target: alice.address, properties: ["other"] });
      const body = { scopes: ["watch:travel"] };
      const narrow = bob.with((await bob.asks("POST", "/v1/tokens", { body })).body.token);
      const socket = await dials(narrow);
      const missing = { status: 403, code: "scope-missing" };
      const frame = { node: bob.address, name: "travel", value: oslo };
      expect(await socket.fails("set", frame)).toMatchObject(missing);
      expect(await socket.fails("delete", { ...frame, value: undefined })).toMatchObject(missing);
      expect(await socket.fails("watch", { target: alice.address })).toMatchObject(missing);
      const { subscription } = await socket.does("watch", { target: alice.address, properties: ["travel"] });
      const heard = await socket.hearsThrough("property.changed");
      expect(told(heard.filter(({ event }) => event.data.name))).toEqual(["property.changed travel"]);
      await socket.hears("stream.live", { subscription });
    });

    test("without a token one sees what is public, and changes nothing", async () => {
      const alice = await world.registers("alice");
      await alice.patches({ set: { profile: { value: { name: "Alice" } }, travel: { value: oslo } } });
      const socket = await dials(world.stranger);
      await socket.hears("stream.live");
      const frame = { node: alice.address, name: "travel", value: rome };
      expect(await socket.fails("set", frame)).toMatchObject({ status: 401, code: "unauthenticated" });
      expect(await socket.fails("renew", { lease: "any" })).toMatchObject({ status: 401 });
      await socket.does("watch", { target: alice.address });
      expect(told(await socket.hearsThrough("stream.live"))).toEqual([
        "property.changed profile",
        "stream.live",
      ]);
    });
  });

  describe("watching", () => {
    test("a watch is answered, brings the present, says that it is live, and then what happens", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const { revision } = await alice.sets("travel", oslo);
      const socket = await dials(bob);
      await socket.hears("stream.live");
      const { subscription, state } = await socket.does("watch", {
        target: alice.address,
        properties: ["travel"],
      });
      expect(state).toBe("active");
      const { cursor, event } = await socket.hears("property.changed", { value: oslo, reason: "snapshot" });
      expect(cursor).toMatch(/./);
      expect(event).toMatchObject({
        specversion: "1.0",
        source: `/nodes/${alice.address}`,
        subject: "travel",
        data: { revision },
      });
      expect((await socket.hears("stream.live")).event.data).toEqual({ subscription });
      await alice.sets("other", 1);
      await alice.sets("travel", rome);
      await socket.hears("property.changed", { name: "travel", value: rome, reason: "set" });
      expect(await socket.does("unwatch", { subscription })).toBeDefined();
      await alice.sets("travel", oslo);
      expect(await socket.fails("unwatch", { subscription })).toMatchObject({
        status: 404,
        code: "not-found",
      });
      // Of the moment: it is not among those that are kept.
      expect((await bob.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);
      await socket.does("watch", { target: alice.address, properties: ["other"] });
      await socket.hears("property.changed", { name: "other" });
    });

    test("depth, patterns and a filter select as in a subscription", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const bike = `${alice.address}/bike`;
      await alice.creates(bike);
      await alice.sets("count", { n: 1 }, { at: bike });
      await alice.sets("count", { n: 9 });
      const socket = await dials(bob);
      await socket.hears("stream.live");
      const wish = {
        target: alice.address,
        depth: "1",
        properties: ["count.*", "count"],
        filter: "value.n < 5",
      };
      await socket.does("watch", wish);
      await socket.hears("property.changed", { node: bike, value: { n: 1 } });
      await socket.hears("stream.live");
      await alice.sets("count", { n: 8 }, { at: bike });
      await alice.sets("count.a", { n: 2 });
      await socket.hears("property.changed", { node: alice.address, name: "count.a" });
      expect(await socket.fails("watch", { ...wish, filter: "value.n <" })).toMatchObject({
        status: 422,
        code: "bad-filter",
      });
      for (const bad of [{ depth: "2" }, { properties: [] }, { target: 1 }, { unknown: 1 }]) {
        expect(await socket.fails("watch", { ...wish, ...bad })).toMatchObject({ status: 400 });
      }
    });

    test("what is kept comes along, also what is made and ended while it is open", async () => {
      const alice = await world.registers("alice");
      const carol = await world.registers("carol");
      const bob = await world.registers("bob");
      await alice.sets("travel", oslo);
      await bob.subscribes({ target: alice.address });
      const socket = await dials(bob);
      expect(told(await socket.hearsThrough("stream.live"))).toEqual([
        "property.changed travel",
        "stream.live",
      ]);
      await carol.sets("travel", rome);
      const { id } = await bob.subscribes({ target: carol.address });
      await socket.hears("property.changed", { node: carol.address, reason: "snapshot" });
      await socket.hears("stream.live", { subscription: id });
      await bob.asks("DELETE", `/v1/subscriptions/${id}`);
      await socket.hears("subscription.ended", { id });
    });

    test("a watch of somebody who is not there wakes with them", async () => {
      const bob = await world.registers("bob");
      const handle = `zoe-${stage}-socket`;
      const socket = await dials(bob);
      await socket.hears("stream.live");
      const target = `${handle}@localhost`;
      const { subscription, state } = await socket.does("watch", { target });
      expect(state).toBe("pending");
      await socket.hears("stream.live", { subscription });
      const zoe = await world.registers(handle, { handle });
      await socket.hears("subscription.active", { id: subscription, target });
      await zoe.sets("travel", oslo);
      const [changed] = (await socket.hearsThrough("property.changed")).slice(-1);
      expect(changed?.event.data).toMatchObject({ node: target, value: oslo });
    });

    test("?after= resumes all that is kept, and a frame's own after resumes what it watches", async () => {
      const alice = await world.registers("alice");
      const carol = await world.registers("carol");
      const bob = await world.registers("bob");
      for (const who of [alice, carol]) await who.patches({ set: { old: { value: 1 }, gone: { value: 1 } } });
      await bob.subscribes({ target: alice.address });
      const first = await dials(bob);
      await first.hearsThrough("stream.live");
      await first.does("watch", { target: carol.address });
      const { cursor } = (await first.hearsThrough("stream.live")).at(-1) as Told;
      await first[Symbol.asyncDispose]();
      for (const who of [alice, carol]) {
        await who.removes("gone");
        await who.sets("new", 1);
      }
      const again = await dials(bob, { query: `?after=${cursor}` });
      const news = ["property.removed gone", "property.changed new"];
      expect(told(await again.hearsThrough("stream.live"))).toEqual([...news, "stream.live"]);
      const { subscription } = await again.does("watch", { target: carol.address, after: cursor });
      const resumed = await again.hearsThrough("stream.live");
      expect(told(resumed)).toEqual([...news, "stream.live"]);
      expect(resumed.at(-1)?.event.data).toEqual({ subscription });
    });

    test("an after that cannot be honoured is said, in the URL and in a frame", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.sets("travel", oslo);
      const target = alice.address;
      const refused = { status: 400, code: "bad-cursor" };
      await expect(dials(bob, { query: "?after=nonsense" })).rejects.toMatchObject(refused);
      const socket = await dials(bob);
      const { cursor } = await socket.hears("stream.live");
      expect(await socket.fails("watch", { target, after: "nonsense" })).toMatchObject(refused);
      const foreign = await dials(bob, { query: `?after=x${cursor}` });
      expect(told(await foreign.hearsThrough("stream.live"))[0]).toBe("stream.reset");
      await socket.does("watch", { target, after: `x${cursor}` });
      expect(told(await socket.hearsThrough("stream.live"))).toEqual([
        "stream.reset",
        "property.changed travel",
        "stream.live",
      ]);
    });

    test("one cursor works here and on a stream of Server-Sent Events", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.subscribes({ target: alice.address });
      const socket = await dials(bob);
      await socket.hears("stream.live");
      await alice.sets("one", 1);
      const one = await socket.hears("property.changed", { name: "one" });
      await alice.sets("two", 2);
      const { snapshot, live } = await bob.listens({ after: one.cursor });
      expect(snapshot.map(({ event }) => event.data.name)).toEqual(["two"]);
      const again = await dials(bob, { query: `?after=${live.cursor}` });
      await alice.sets("three", 3);
      expect(told((await again.hearsThrough("property.changed")).slice(-1))).toEqual([
        "property.changed three",
      ]);
      // A redelivery is the same event.
      expect((await socket.hears("property.changed", { name: "two" })).event).toEqual(snapshot[0]?.event);
    });

    test("whoever never reads keeps nobody from hearing", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const eve = await world.registers("eve");
      const deaf = await dials(eve);
      await deaf.does("watch", { target: alice.address });
      deaf.raw.pause();
      const socket = await dials(bob);
      await socket.hears("stream.live");
      await socket.does("watch", { target: alice.address });
      await socket.hears("stream.live");
      const text = "x".repeat(60_000);
      for (let round = 0; round < 100; round++) {
        // What eve says has answers that she never reads either.
        for (let count = 0; count < 20; count++) deaf.raw.send('{"id":1,"op":"ping"}');
        await alice.sets(`text.${round % 40}`, { round, text });
        const sentMs = performance.now();
        const { data } = (await socket.hears("property.changed")).event;
        expect(data.value.round).toBe(round);
        expect(performance.now() - sentMs).toBeLessThan(1_000);
      }
    });
  });

  describe("bad manners", () => {
    test("what is no frame is answered with a problem, and the socket goes on", async () => {
      const socket = await dials(await world.registers("eve"));
      const deep = `{"id":1,"op":"set","node":"a@b","name":"x","value":${"[".repeat(40)}${"]".repeat(40)}}`;
      const rubbish: [text: string, status: number, code: string][] = [
        ["not JSON", 400, "bad-json"],
        ["", 400, "bad-json"],
        ["[]", 400, "bad-request"],
        ["null", 400, "bad-request"],
        ["7", 400, "bad-request"],
        ['{"id":1,"op":"ping","op":"set"}', 400, "bad-json"],
        ['{"id":1,"op":"ping","__proto__":{}}', 400, "bad-json"],
        [deep, 422, "too-deep"],
      ];
      for (const [text, status, code] of rubbish) {
        socket.raw.send(text);
        expect((await socket.answer()).problem, text.slice(0, 60)).toMatchObject({ status, code });
      }
      await works(socket);
    });

    test("a frame that is not known or has unknown fields is refused by its number", async () => {
      const alice = await world.registers("alice");
      const socket = await dials(alice);
      const set = { op: "set", node: alice.address, name: "travel", value: oslo };
      const bad = [
        { op: "unknown" },
        { op: "constructor" },
        { op: "toString" },
        { op: 7 },
        {},
        { op: "ping", unknown: 1 },
        { ...set, unknown: 1 },
        { ...set, value: undefined },
        { ...set, lease: { seconds: 5, unknown: 1 } },
        { ...set, ifMatch: "7" },
        { op: "watch" },
        { op: "unwatch", subscription: 1 },
        { op: "patch", node: alice.address, set: [] },
        { op: "renew" },
      ];
      for (const [id, frame] of bad.entries()) {
        socket.raw.send(JSON.stringify({ id, ...frame }));
        expect(await socket.answer()).toMatchObject({ id, problem: { status: 400, code: "bad-request" } });
      }
      expect(await alice.sees(alice, "travel")).toBeUndefined();
      await works(socket);
    });

    test("a command without a number, or with a strange one, is refused", async () => {
      const socket = await dials(await world.registers("eve"));
      for (const frame of ['{"op":"ping"}', '{"id":null,"op":"ping"}', '{"id":{},"op":"ping"}']) {
        socket.raw.send(frame);
        expect((await socket.answer()).problem).toMatchObject({ status: 400, code: "bad-request" });
      }
      await works(socket);
    });

    test("binary frames close it with 1003", async () => {
      const socket = await dials(await world.registers("eve"));
      socket.raw.send(Buffer.from('{"id":1,"op":"ping"}'), { binary: true });
      expect(await socket.closed).toMatchObject({ code: 1003 });
    });

    test("a frame of 256 KiB is read, one beyond closes it with 1009", async () => {
      const eve = await world.registers("eve");
      const bare = '{"id":1,"op":"ping"}';
      for (const bytes of [256 * 1024 + 1, 300 * 1024, 16 * 1024 * 1024]) {
        const socket = await dials(eve);
        socket.raw.send(bare.padEnd(256 * 1024, " "));
        expect(await socket.answer()).toMatchObject({ id: 1 });
        socket.raw.send(bare.padEnd(bytes, " "));
        expect(await socket.closed, `${bytes}`).toMatchObject({ code: 1009 });
      }
    });

    test("a message of many tiny fragments is put together or closes the socket, and harms nobody", async () => {
      const bob = await dials(await world.registers("bob"));
      const socket = await dials(await world.registers("eve"));
      const text = '{"id":1,"op":"ping"}';
      for (const letter of text) socket.raw.send(letter, { fin: false });
      socket.raw.send(" ", { fin: true });
      expect(await socket.answer()).toMatchObject({ id: 1, ok: expect.anything() });
      for (let count = 0; count < 20_000; count++) socket.raw.send(" ", { fin: false });
      socket.raw.send(text, { fin: true });
      const outcome = await Promise.race([socket.closed, socket.answer().catch(() => socket.closed)]);
      expect([1, 1008, 1009]).toContain("code" in outcome ? outcome.code : outcome.id);
      await works(bob);
    });

    test("thirty frames that cannot be read close it with 1008", async () => {
      const socket = await dials(await world.registers("eve"));
      for (let count = 0; count < 30; count++) socket.raw.send("rubbish");
      expect((await socket.answer()).problem).toMatchObject({ code: "bad-json" });
      expect(await socket.closed).toMatchObject({ code: 1008 });
    });
  });

  describe("the handshake", () => {
    test("another subprotocol is refused", async () => {
      const alice = await world.registers("alice");
      await expect(dials(alice, { protocols: ["mqtt"] })).rejects.toThrow();
      const socket = await dials(alice, { protocols: ["mqtt", "tidings.v1"] });
      expect(socket.raw.protocol).toBe("tidings.v1");
    });

    test("a bad token is refused before the handshake", async () => {
      const alice = await world.registers("alice");
      for (const token of ["nonsense", `${alice.token}x`, world.adminToken]) {
        const refusal = token === world.adminToken ? {} : { status: 401, code: "unauthenticated" };
        await expect(dials(alice, { token })).rejects.toMatchObject(refusal);
      }
      const headers = { authorization: "Basic YTpi" };
      await expect(dials(world.stranger, { headers })).rejects.toMatchObject({ status: 401 });
    });

    test("pages of another origin are refused, the broker's own are not", async () => {
      const alice = await world.registers("alice");
      for (const origin of ["https://evil.example", "null", "", `${world.url}.evil.example`]) {
        const dialling = dials(alice, { headers: { origin } });
        await expect(dialling, origin).rejects.toMatchObject({ status: 403, code: "origin-refused" });
      }
      await works(await dials(alice, { headers: { origin: world.url } }));
    });

    test("other paths and plain requests are refused in words", async () => {
      const alice = await world.registers("alice");
      expect((await alice.asks("GET", "/v1/socket")).status).toBe(426);
      for (const path of ["/v1/elsewhere", "//", "http://["]) {
        expect(await answerTo(world.url, path, upgrade), path).toMatch(/^40[04]$/);
      }
      await works(await dials(alice));
    });

    test("a request that offers another protocol is served without it (RFC 9110 §7.8)", async () => {
      const alice = await world.registers("alice");
      // Java's HttpClient and `curl --http2` say so with every request.
      const offer = [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
      ];
      const headers = [...offer, `Authorization: Bearer ${alice.token}`];
      expect(await answerTo(world.url, "/v1/me", headers)).toBe("200");
    });

    test("a ticket opens one as its owner", async () => {
      const alice = await world.registers("alice");
      await alice.sets("travel", oslo);
      const { ticket } = (await alice.asks("POST", "/v1/tickets")).body;
      const socket = await dials(world.stranger, { query: `?ticket=${ticket}` });
      await socket.does("set", { node: alice.address, name: "travel", value: rome });
    });
  });

  describe("the end", () => {
    const revokes = async (who: Person): Promise<{ other: Person; revoke: () => Promise<number> }> => {
      const { id, token } = (await who.asks("POST", "/v1/tokens", { body: {} })).body as Data;
      const revoke = async (): Promise<number> => {
        expect((await who.asks("DELETE", `/v1/tokens/${id}`)).status).toBe(204);
        return performance.now();
      };
      return { other: who.with(token), revoke };
    };

    test("the end of the token closes it within a second, with 1008", async () => {
      const alice = await world.registers("alice");
      const { other, revoke } = await revokes(alice);
      const socket = await dials(other);
      const revokedMs = await revoke();
      const { code, atMs } = await socket.closed;
      expect(code).toBe(1008);
      expect(atMs - revokedMs).toBeLessThan(1_000);
      await works(await dials(alice));
    });

    test("whoever ignores the close changes nothing any more", async () => {
      const alice = await world.registers("alice");
      const { other, revoke } = await revokes(alice);
      await using rude = await rudeClient(world.url, other.token ?? "");
      await revoke();
      await rude.closing;
      rude.says(JSON.stringify({ id: 1, op: "set", node: alice.address, name: "travel", value: oslo }));
      await rude.leaves();
      await alice.sets("other", 1);
      expect(await alice.sees(alice, "travel")).toBeUndefined();
    });
  });
});

describe("origins that the operator listed", () => {
  const world = aWorld("process", { env: { TIDINGS_ORIGINS: "https://a.example,https://b.example:8443" } });

  test("may open sockets and streams, others may not", async () => {
    const alice = await world.registers("alice");
    for (const origin of ["https://a.example", "https://b.example:8443"]) {
      const socket = await openSocket(world.url, { token: alice.token, headers: { origin } });
      await socket.does("ping");
      await socket[Symbol.asyncDispose]();
    }
    for (const origin of ["http://a.example", "https://b.example", "https://c.example"]) {
      const dialling = openSocket(world.url, { token: alice.token, headers: { origin } });
      await expect(dialling).rejects.toMatchObject({ status: 403, code: "origin-refused" });
    }
  });

  test("may ask and read whatever the answer is, others may not", async () => {
    const alice = await world.registers("alice");
    const path = propertyPath(alice.address, "travel");
    const allowed = async (origin: string, method: string, at: string, more = {}): Promise<unknown> => {
      const { status, headers } = await alice
        .with(undefined)
        .asks(method, at, { headers: { origin, ...more } });
      return [
        status,
        headers.get("access-control-allow-origin"),
        headers.get("access-control-allow-methods"),
      ];
    };
    const preflight = {
      "access-control-request-method": "PUT",
      "access-control-request-headers": "authorization,content-type,if-match",
    };
    const methods = "GET, HEAD, POST, PUT, PATCH, DELETE";
    const origin = "https://a.example";
    expect(await allowed(origin, "OPTIONS", path, preflight)).toEqual([204, origin, methods]);
    expect(await allowed(origin, "GET", path)).toEqual([404, origin, null]);
    expect(await allowed(origin, "PUT", path)).toEqual([401, origin, null]);
    expect(await allowed(origin, "GET", "/v1/events")).toEqual([401, origin, null]);
    expect(await allowed("https://c.example", "GET", path)).toEqual([404, null, null]);
  });

  test("read streams from there", async () => {
    const alice = await world.registers("alice");
    const controller = new AbortController();
    const { headers } = await fetch(`${world.url}/v1/events?watch=${alice.address}`, {
      headers: { origin: "https://a.example", authorization: `Bearer ${alice.token}` },
      signal: controller.signal,
    });
    expect(headers.get("access-control-allow-origin")).toBe("https://a.example");
    controller.abort();
  });
});

const upgrade = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

function asks(url: string, path: string, headers: readonly string[]): TcpSocket {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write([`GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers, "", ""].join("\r\n"));
  return socket;
}

/** The status of the answer to a request written by hand. */
async function answerTo(url: string, path: string, headers: readonly string[]): Promise<string> {
  const socket = asks(url, path, headers);
  for await (const piece of socket) return String(piece).split(" ")[1] ?? "";
  return "none";
}

/** A client that does not close when it is told to (RFC 6455 §5.2, frames by hand). */
async function rudeClient(url: string, token: string) {
  const socket = asks(url, "/v1/socket", [...upgrade, `Authorization: Bearer ${token}`]);
  const opened = Promise.withResolvers<void>();
  const closing = Promise.withResolvers<void>();
  socket.on("data", (bytes) => {
    if (bytes.includes("HTTP/1.1 101")) opened.resolve();
    else if (bytes[0] === 0x88) closing.resolve();
  });
  /** Text of 126 bytes and more, masked with zeros. */
  const frame = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x81, 0xfe, bytes.length >> 8, bytes.length & 0xff, 0, 0, 0, 0]), bytes]);
  const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  await opened.promise;
  return {
    closing: closing.promise,
    says: (text: string) => void socket.write(frame(Buffer.from(text.padEnd(126, " ")))),
    /** Now it answers the close, and the broker is through with what it said. */
    async leaves(): Promise<void> {
      socket.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf0]));
      await gone;
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

test("whoever watches with hundreds of dear filters holds up nobody, and hears at once of what it watches besides", async () => {
  await using world = await openWorld("memory");
  const alice = await world.registers("alice");
  const bob = await world.registers("bob");
  await using socket = await openSocket(world.url, { token: bob.token });
  const target = alice.address;
  const watches = 400;
  const dear = { target, properties: ["travel"], filter: "value.list.exists(one, one > 9)" };
  await Promise.all(Array.from({ length: watches }, () => socket.does("watch", dear)));
  const cheap = { target, properties: ["count"], filter: "value == 1" };
  const { subscription } = await socket.does("watch", cheap);
  while ((await socket.hears("stream.live")).event.data.subscription !== subscription);
  const stalls = monitorEventLoopDelay({ resolution: 5 });
  stalls.enable();
  // Milliseconds each, for each filter: seconds in all.
  for (let n = 0; n < 3; n++)
    await alice.sets("travel", { list: Array.from({ length: 6_000 }, (_, at) => (at + n) % 10) });
  await alice.sets("count", 1);
  const heard = (await socket.hearsThrough("property.changed")).pop();
  stalls.disable();
  expect(heard?.event.data.name).toBe("count");
  expect(stalls.max / 1e6).toBeLessThan(1_000);
});

// Messages as conversations: told to who is there, held for who is not, until they are acknowledged or expire.
import { describe, expect, test } from "vitest";
import { isMediaType } from "../../services/core/media-type.ts";
import given from "../vectors/media-types.json" with { type: "json" };
import { acknowledges, messagesPath, polls, posts, said, sends, waiting, weekMs } from "./post.ts";
import { openSocket } from "./socket.ts";
import {
  type Answer,
  at,
  aWorld,
  blockPath,
  type Data,
  type Heard,
  longStages,
  nodePath,
  openEventStream,
} from "./world.ts";

const received = "message.received";

describe.each(longStages)("messages on the %s log", (stage) => {
  const world = aWorld(stage);

  describe("to somebody who is there", () => {
    test("one is told at once, on every transport, as the same event", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await using socket = await openSocket(world.url, { token: bob.token });
      await socket.hears("stream.live");
      await bob.listens();
      const sentMs = Date.now();
      const id = await sends(alice, bob, "Hello");
      const heard = await bob.hears(received);
      const { event } = heard;
      expect(event).toEqual({
        specversion: "1.0",
        id,
        source: `/nodes/${bob.address}`,
        type: "dev.tidings.message.received",
        time: expect.any(String),
        data: {
          id,
          from: alice.address,
          to: bob.address,
          contentType: "text/plain",
          content: "Hello",
          expires: expect.any(String),
        },
      });
      expect(Math.abs(Date.parse(event.data.expires) - sentMs - weekMs)).toBeLessThan(10_000);
      expect((await socket.hears(received)).event).toEqual(event);
      expect((await polls(bob)).events).toEqual([event]);
      expect(await waiting(bob)).toEqual([event.data]);
      await alice.listens();
      await alice.hearsNothing();
    });

    test("they come in the order in which they were accepted, none left out, however fast", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.listens();
      const words = Array.from({ length: 50 }, (_, n) => `word ${n}`);
      for (const word of words) await sends(alice, bob, word);
      const heard = await bob.hearsMany(words.length);
      expect(said(heard)).toEqual(words);
      expect((await waiting(bob, 7)).map(({ content }) => content)).toEqual(words);
    });

    test("a socket sends as REST does", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.listens();
      await using socket = await openSocket(world.url, { token: alice.token });
      const wish = { to: bob.address, contentType: "application/x-tune", contentBase64: "AAEC" };
      const first = await socket.does("send", { ...wish, idempotencyKey: "one" });
      expect(first).toEqual({ id: expect.any(String) });
      expect(await socket.does("send", { ...wish, idempotencyKey: "one" })).toEqual(first);
      await bob.hears(received, { id: first.id, contentBase64: "AAEC", contentType: "application/x-tune" });
      expect(await socket.fails("send", { ...wish, contentBase64: "AAE" })).toMatchObject({ status: 400 });
      await bob.hearsNothing();
    });

    test("an invitation is carried as it is", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.listens();
      const invitation = { media: "video", uri: "sip:alice@example.com;transport=tls" };
      await sends(alice, bob, "Have you a minute?", { invitation });
      expect((await bob.hears(received)).event.data.invitation).toEqual(invitation);
    });

    test("one to oneself, and one to a thing of one's own, arrive as well", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.creates(`${bob.address}/door`);
      await bob.listens();
      await sends(bob, bob, "Milk");
      await bob.hears(received, { from: bob.address, content: "Milk" });
      const id = await sends(alice, `${bob.address}/door`, "Ring");
      await bob.hears(received, { id, to: `${bob.address}/door` });
      await acknowledges(bob, id);
      expect((await waiting(bob)).map(({ content }) => content)).toEqual(["Milk"]);
    });
  });

  describe("to somebody who is away", () => {
    test("they wait, and are told again on every transport until they are acknowledged", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const one = await sends(alice, bob, "one");
      await sends(alice, bob, "two");
      const { snapshot } = await bob.listens();
      expect(said(snapshot)).toEqual(["one", "two"]);
      await using socket = await openSocket(world.url, { token: bob.token });
      expect(said(await socket.hearsThrough("stream.live"))).toEqual(["one", "two"]);
      expect(said((await polls(bob)).events)).toEqual(["one", "two"]);
      await acknowledges(bob, one);
      await acknowledges(bob, one);
      expect(said((await bob.listens()).snapshot)).toEqual(["two"]);
      expect(said((await polls(bob)).events)).toEqual(["two"]);
      await acknowledges(bob, "nothing-of-that-name");
      expect((await waiting(bob)).map(({ content }) => content)).toEqual(["two"]);
    });

    test("a cursor leads to those after it, on whichever transport", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await sends(alice, bob, "one");
      const first = await polls(bob);
      expect(said(first.events)).toEqual(["one"]);
      expect((await polls(bob, first.cursor)).events).toEqual([]);
      await sends(alice, bob, "two");
      await sends(alice, bob, "three");
      const { snapshot } = await bob.listens({ after: first.cursor, withoutBell: true });
      expect(said(snapshot)).toEqual(["two", "three"]);
      const between = snapshot.find(({ event }) => event.data.content === "two")?.cursor;
      await using socket = await openSocket(world.url, { token: bob.token, query: `?after=${between}` });
      expect(said(await socket.hearsThrough("stream.live"))).toEqual(["three"]);
      const { cursor } = await polls(bob, between);
      await sends(alice, bob, "four");
      expect(said((await polls(bob, cursor)).events)).toEqual(["four"]);
    });

    test("two hundred wait in order, and whoever is cut off goes on where it was", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const words = Array.from({ length: 230 }, (_, n) => `word ${n}`);
      for (const word of words) await sends(alice, bob, word);
      const { snapshot } = await bob.listens({ withoutBell: true });
      expect(said(snapshot)).toEqual(words);
      const { cursor } = snapshot[120] as { cursor: string };
      const rest = (await bob.listens({ withoutBell: true, after: cursor })).snapshot;
      expect(said(rest)).toEqual(words.slice(121));
    });

    test("one to an address that nobody has yet is there when somebody comes", async () => {
      const alice = await world.registers("alice");
      await sends(alice, `late-${stage}@localhost`, "Welcome");
      const late = await world.registers("late", { handle: `late-${stage}` });
      const { snapshot } = await late.listens();
      expect(said(snapshot)).toEqual(["Welcome"]);
    });

    test("what has expired is shown by nothing any more", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await sends(alice, bob, "soon gone", { expiresIn: 1.2 });
      const stays = await sends(alice, bob, "stays", { expiresIn: 3_600 });
      const [first] = await waiting(bob);
      expect(first?.content).toBe("soon gone");
      await at(Date.parse(first?.expires) + 1);
      expect((await waiting(bob)).map(({ id }) => id)).toEqual([stays]);
      expect(said((await bob.listens()).snapshot)).toEqual(["stays"]);
      expect(said((await polls(bob)).events)).toEqual(["stays"]);
    });

    test("a token without the scope gets none, sends none and takes none", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const { token } = (
        await bob.asks("POST", "/v1/tokens", { body: { scopes: ["read", "watch", "write"] } })
      ).body;
      const narrow = bob.with(token);
      const id = await sends(alice, bob, "secret");
      expect(said((await narrow.listens()).snapshot)).toEqual([]);
      await sends(alice, bob, "secret as well");
      await narrow.hearsNothing();
      const missing = { status: 403, code: "scope-missing" };
      await expect(waiting(narrow)).rejects.toMatchObject(missing);
      await expect(sends(narrow, alice, "no")).rejects.toMatchObject(missing);
      await expect(acknowledges(narrow, id)).rejects.toMatchObject(missing);
      expect(await waiting(bob)).toHaveLength(2);
    });
  });

  describe("retries", () => {
    test("one key is one message, and the answer is the same", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const key = { "idempotency-key": "m-1" };
      const ids = await Promise.all(Array.from({ length: 10 }, () => sends(alice, bob, "once", {}, key)));
      expect(new Set(ids).size).toBe(1);
      expect(await waiting(bob)).toHaveLength(1);
      await acknowledges(bob, ids[0] as string);
      expect(await sends(alice, bob, "once", {}, key)).toBe(ids[0]);
      expect(await waiting(bob)).toEqual([]);
      await expect(sends(alice, bob, "another", {}, key)).rejects.toMatchObject({
        status: 422,
        code: "idempotency-mismatch",
      });
    });
  });

  describe("who may send", () => {
    test("without a policy contacts may, and nobody who has no token", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const carol = await world.registers("carol");
      await bob.sets("contacts", { members: [alice.address] });
      await bob.listens();
      await sends(carol, bob, "unheard");
      await sends(alice, bob, "heard");
      await bob.hears(received, { content: "heard" });
      expect((await posts(world.stranger, bob, { contentType: "text/plain", content: "x" })).status).toBe(
        401,
      );
      expect(await waiting(bob)).toHaveLength(1);
    });

    test("with a policy whoever a rule for messages means, whatever its properties", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const carol = await world.registers("carol");
      await bob.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch"] });
      await bob.listens();
      await sends(alice, bob, "no rule");
      await bob.grants({ who: [alice.address], properties: ["travel"], allow: ["message"] });
      await sends(carol, bob, "not meant");
      await sends(alice, bob, "meant");
      await bob.hears(received, { content: "meant" });
      await bob.hearsNothing();
      await sends(bob, bob, "own");
      await bob.hears(received, { content: "own" });
    });

    test("what was dropped stays dropped, and what was taken is told only while it is still granted", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await sends(alice, bob, "before");
      await bob.blocks(alice);
      await sends(alice, bob, "behind the block");
      expect(await waiting(bob)).toEqual([]);
      expect(said((await bob.listens()).snapshot)).toEqual([]);
      await bob.unblocks(alice);
      expect((await waiting(bob)).map(({ content }) => content)).toEqual(["before"]);
      await sends(alice, bob, "after");
      await bob.hears(received, { content: "after" });
    });

    test("whoever must disclose itself is told so, and does", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.sets("profile", { name: "Alice" });
      await bob.grants({ who: ["anyone"], properties: ["*"], allow: ["message"], reveal: ["profile"] });
      await expect(sends(alice, bob, "who?")).rejects.toMatchObject({ code: "reveal-required" });
      const body = { contentType: "text/plain", content: "Alice" };
      const answer = await alice.asks("POST", `${messagesPath(bob)}?reveal=profile`, { body });
      expect(answer.status).toBe(202);
      expect((await waiting(bob)).map(({ content }) => content)).toEqual(["Alice"]);
    });

    test("a politely blocked sender, one without a grant and one who writes to nobody are answered alike", async () => {
      const alice = await world.registers("alice");
      const [kind, shut, polite] = [
        await world.registers("kind"),
        await world.registers("shut"),
        await world.registers("polite"),
      ];
      await shut.grants({ who: ["anyone"], properties: ["*"], allow: ["read"] });
      await polite.blocks(alice);
      const plain = { contentType: "text/plain", content: "Hello" };
      const answers: Answer[] = [];
      for (const to of [kind, shut, polite, "nobody-at-all@localhost"]) {
        answers.push(await posts(alice, to, plain));
        answers.push(await posts(alice, to, { ...plain, contentType: "wrong" }));
        answers.push(await posts(alice, to, { ...plain, content: "x".repeat(70_000) }));
      }
      const looks = answers.map(({ status, headers, text, body }) => {
        const shown = body.id === undefined ? text : text.replace(/"[\w-]{16}"/, '"<id>"');
        const kept = [...headers].filter(([name]) => !["date", "tidings-request-id"].includes(name));
        return JSON.stringify([status, kept, shown]);
      });
      expect(new Set(looks).size).toBe(3);
      expect(answers.map(({ status }) => status).slice(0, 3)).toEqual([202, 400, 413]);
      for (const who of [shut, polite]) expect(await waiting(who)).toEqual([]);
      expect(await waiting(kind)).toHaveLength(1);
    });

    test("a hard block is said, to the blocked and to whoever blocks", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await bob.blocks(alice, "hard");
      await expect(sends(alice, bob, "x")).rejects.toMatchObject({ status: 403, code: "blocked" });
      await expect(sends(bob, alice, "x")).rejects.toMatchObject({ status: 403, code: "forbidden" });
      await bob.asks("DELETE", blockPath(bob.address, alice.address));
      await sends(alice, bob, "again");
      expect(await waiting(bob)).toHaveLength(1);
    });
  });

  describe("what is refused", () => {
    test("each in words that help", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      const contentType = "text/plain";
      const big = "x".repeat(64 * 1024);
      const bad: [body: Data, status: number, code: string, pointer?: string][] = [
        [{ contentType }, 400, "bad-request", ""],
        [{ contentType, content: "x", contentBase64: "AA==" }, 400, "bad-request", ""],
        [{ content: "x" }, 400, "bad-request"],
        [{ contentType: "text", content: "x" }, 400, "bad-request", "/contentType"],
        [{ contentType: `text/${"x".repeat(300)}`, content: "x" }, 400, "bad-request", "/contentType"],
        [{ contentType, contentBase64: "AA" }, 400, "bad-request", "/contentBase64"],
        [{ contentType, contentBase64: "AA=\n=" }, 400, "bad-request", "/contentBase64"],
        [{ contentType, contentBase64: "AB==" }, 400, "bad-request", "/contentBase64"],
        [{ contentType, contentBase64: "-_8=" }, 400, "bad-request", "/contentBase64"],
        [{ contentType, content: 7 }, 400, "bad-request", "/content"],
        [{ contentType, content: "x", expiresIn: 0.5 }, 400, "bad-request", "/expiresIn"],
        [{ contentType, content: "x", expiresIn: 604_801 }, 400, "bad-request", "/expiresIn"],
        [{ contentType, content: "x", unknown: 1 }, 400, "bad-request", "/unknown"],
        [{ contentType, content: "x", invitation: {} }, 400, "bad-request", "/invitation"],
        [{ contentType, content: "x", invitation: { media: "a", uri: "no uri" } }, 400, "bad-request"],
        [{ contentType, content: "x", interest: {} }, 400, "bad-request"],
        [{ contentType, content: "x", interest: { property: "Bad Name" } }, 400, "bad-name"],
        [{ contentType, content: `${big}x` }, 413, "message-too-large", "/content"],
        [{ contentType, content: "ö".repeat(33_000) }, 413, "message-too-large", "/content"],
        [
          { contentType, contentBase64: Buffer.alloc(65_537).toString("base64") },
          413,
          "message-too-large",
          "/contentBase64",
        ],
      ];
      for (const [body, status, code, pointer] of bad) {
        const answer = await posts(alice, bob, body);
        expect([answer.status, answer.body.code], JSON.stringify(body).slice(0, 80)).toEqual([status, code]);
        if (pointer !== undefined) expect(answer.body.errors[0].pointer).toBe(pointer);
      }
      expect((await posts(alice, "no address", { contentType, content: "x" })).body.code).toBe("bad-address");
      const elsewhere = await posts(alice, "bob@elsewhere.example", { contentType, content: "x" });
      expect([elsewhere.status, elsewhere.body.code]).toEqual([404, "not-found"]);
      const key = { "idempotency-key": "a b" };
      expect((await posts(alice, bob, { contentType, content: "x" }, key)).body.code).toBe(
        "bad-precondition",
      );
      expect(await waiting(bob)).toEqual([]);
      for (const content of [big, "", "\u0000\u2028 \ud83d\ude00"]) {
        await sends(alice, bob, content);
        expect((await waiting(bob)).at(-1)?.content).toBe(content);
      }
      const bytes = Buffer.alloc(64 * 1024, 255).toString("base64");
      expect((await posts(alice, bob, { contentType: "image/png", contentBase64: bytes })).status).toBe(202);
      expect((await waiting(bob)).at(-1)).toMatchObject({ contentType: "image/png", contentBase64: bytes });
    });
  });

  describe("receipts", () => {
    test("only where the recipient lets the sender have them, when it acknowledges", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await alice.listens();
      await acknowledges(bob, await sends(alice, bob, "no receipt"));
      await alice.hearsNothing();
      await bob.grants(
        { who: ["contacts"], properties: ["*"], allow: ["message"] },
        { who: [alice.address], properties: ["receipts"], allow: ["read"] },
      );
      const id = await sends(alice, bob, "receipt");
      await acknowledges(bob, id);
      const { event, cursor } = await alice.hears("message.delivered", {
        id,
        to: bob.address,
        at: expect.any(String),
      });
      expect(event.source).toBe(`/nodes/${alice.address}`);
      const carol = await world.registers("carol");
      await carol.listens();
      await acknowledges(bob, await sends(carol, bob, "none for carol"));
      await carol.hearsNothing();
      await alice.leaves();
      const read = await sends(alice, bob, "by a human");
      await acknowledges(bob, read, "?read=true");
      const { snapshot } = await alice.listens({ after: cursor });
      const told = snapshot.filter(({ event }) => event.type.includes("message."));
      expect(told.map(({ event }) => [event.type, event.data.id])).toEqual([
        ["dev.tidings.message.read", read],
      ]);
      await alice.hearsNothing();
    });
  });

  describe("at its end", () => {
    test("an account takes its messages with it", async () => {
      const alice = await world.registers("alice");
      const bob = await world.registers("bob");
      await sends(alice, bob, "too late");
      expect((await bob.asks("DELETE", "/v1/me")).status).toBe(204);
      const metrics = (await alice.asks("GET", "/metrics")).text;
      expect(metrics).toMatch(/^tidings_messages_held \d+$/m);
      expect((await alice.asks("GET", nodePath(bob.address))).status).toBe(404);
    });
  });
});

describe.each([...longStages, "lagging"] as const)("while streams come and go on the %s log", (stage) => {
  const world = aWorld(stage);

  test("each message is told once on each stream, in order, whenever it comes", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const words = Array.from({ length: 60 }, (_, n) => `word ${n}`);
    const sending = (async () => {
      for (const word of words) await sends(alice, bob, word);
    })();
    const streams = [];
    for (let n = 0; n < 10; n++) {
      const headers = { authorization: `Bearer ${bob.token}` };
      streams.push(await openEventStream(`${world.url}/v1/events`, headers));
    }
    await sending;
    for (const stream of streams) {
      const heard: Heard[] = [];
      while (said(heard).at(-1) !== words.at(-1)) heard.push(await stream.next());
      expect(said(heard)).toEqual(words);
      // Whoever comes back with the cursor of any of them hears the rest, and nothing twice.
      const from = heard.findIndex(({ event }) => event.data.content === words[30]);
      const after = await polls(bob, heard[from]?.cursor);
      expect(said(after.events)).toEqual(words.slice(31));
      await stream[Symbol.asyncDispose]();
    }
  });
});

describe("media types", () => {
  test.each(given.valid)("%j is one", (text) => expect(isMediaType(text)).toBe(true));
  test.each(given.invalid)("%j is none", (text) => expect(isMediaType(text)).toBe(false));
  test("255 characters are one, 256 are none", () => {
    expect(isMediaType(`text/${"x".repeat(250)}`)).toBe(true);
    expect(isMediaType(`text/${"x".repeat(251)}`)).toBe(false);
  });
});

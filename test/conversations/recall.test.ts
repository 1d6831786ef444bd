// Recall: what is still on its way to a slow reader is not delivered long after a block.
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { polls, sends } from "./post.ts";
import { aWorld, type Person } from "./world.ts";

/** P9: what was accepted before a block may arrive for a second. */
const secondMs = 1_000;
const long = "x".repeat(60_000);
/** More than lies in the buffers of two sockets. */
const properties = 150;

describe("a reader that does not read", () => {
  const world = aWorld("memory");
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tidings.v1\r\n";

  test.each([
    ["SSE", "/v1/events", ""],
    ["WebSocket", "/v1/socket", `${upgrade}${key}`],
  ])("over %s finds its connection reset a second after it was blocked", async (_, path, headers) => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const socket = await opens(bob, `${path}?watch=${alice.address}`, headers);
    for (let n = 0; n < properties; n++) await alice.sets(`long.${n}`, `${n} ${long}`);
    await alice.blocks(bob);
    await delay(secondMs);
    const { text, error } = await readsOn(socket);
    expect(error).toBe("ECONNRESET");
    expect(text.length).toBeLessThan(properties * long.length);
    expect(text.includes(`"long.${properties - 1}"`)).toBe(false);
  });

  test.each([
    ["SSE", "/v1/events", ""],
    ["WebSocket", "/v1/socket", `${upgrade}${key}`],
  ])("over %s does so with messages of whoever shuts it out", async (_, path, headers) => {
    const bob = await world.registers("bob");
    const senders = [
      await world.registers("alice"),
      await world.registers("carol"),
      await world.registers("dave"),
    ];
    const socket = await opens(bob, path, headers);
    for (const sender of senders) for (let n = 0; n < 60; n++) await sends(sender, bob, `${n} ${long}`);
    await (senders[0] as Person).blocks(bob);
    await delay(secondMs);
    expect((await readsOn(socket)).error).toBe("ECONNRESET");
    const { events } = await polls(bob);
    expect(new Set(events.map(({ data }) => data.from))).toEqual(
      new Set(senders.slice(1).map(({ address }) => address)),
    );
  });

  test("over a poll does so in the middle of its answer", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    for (let n = 0; n < 20; n++) await alice.sets(`long.${n}`, long);
    // Each is a watch of its own, since the names differ, and brings a snapshot of its own.
    const watch = Array.from({ length: properties }, (_, n) => `watch=${alice.address}:long.*,n${n}`);
    const socket = await opens(bob, `/v1/poll?${watch.join("&")}`, "");
    await alice.blocks(bob);
    await delay(secondMs);
    const { text, error } = await readsOn(socket);
    expect(error).toBe("ECONNRESET");
    expect(text.includes('"cursor"')).toBe(false);
  });

  test("over a poll does so as well if it reads on by and by", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    for (let n = 0; n < properties; n++) await alice.sets(`long.${n}`, `${n} ${long}`);
    const socket = await opens(bob, `/v1/poll?watch=${alice.address}`, "");
    await alice.blocks(bob);
    let text = "";
    let error = "";
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
      error = code;
    });
    socket.on("data", (part: Buffer) => {
      text += part.toString("latin1");
      socket.pause();
      setTimeout(() => socket.resume(), 20);
    });
    socket.resume();
    await new Promise((resolve) => socket.on("close", resolve));
    expect(error).toBe("ECONNRESET");
    expect(text.includes('"cursor"')).toBe(false);
  });

  test("keeps its connection when it reads on in time", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const socket = await opens(bob, `/v1/events?watch=${alice.address}`, "");
    for (let n = 0; n < properties; n++) await alice.sets(`long.${n}`, `${n} ${long}`);
    await alice.blocks(bob);
    const reading = readsOn(socket);
    await delay(secondMs);
    socket.destroy();
    const { text, error } = await reading;
    expect(error).toBe("");
    expect(/property\.removed|stream\.reset/.test(text)).toBe(true);
  });

  async function opens(who: Person, path: string, headers: string): Promise<Socket> {
    const { port, hostname } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    const head = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${who.token}\r\n`;
    socket.write(`${head}${headers}\r\n`);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
    return socket;
  }

  /** Everything that comes until the connection ends, and how it does. */
  function readsOn(socket: Socket): Promise<{ text: string; error: string }> {
    return new Promise((resolve) => {
      const parts: Buffer[] = [];
      let error = "";
      socket.on("data", (part: Buffer) => parts.push(part));
      socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
        error = code;
      });
      socket.on("close", () => resolve({ text: Buffer.concat(parts).toString("latin1"), error }));
      socket.resume();
    });
  }
});

// An inbox on a stream: asked once more when its reader takes what it is owed, and never more in memory than should wait.
import { expect, it } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import { messageReceived } from "../../services/core/event.ts";
import type { Principal } from "../../services/core/principal.ts";
import type { Arrived, Letter, Recipient } from "../../services/messages/messages.ts";
import { openShares } from "../../services/watch/shares.ts";
import { Stream } from "../../services/watch/stream.ts";
import type { StreamDeps } from "../../services/watch/stream-options.ts";

const bob: Principal = {
  address: parseAddress("bob@example.com"),
  kind: "person",
  scopes: ["message"],
  tokenId: "t",
};

/** A stream over a box that the test fills by hand. */
async function opened() {
  const letters: Arrived[] = [];
  const hidden = new Set<string>();
  let recipient: Recipient | undefined;
  const mail = {
    get position() {
      return letters.length;
    },
    join(_: string, one: Recipient) {
      recipient = one;
      return { [Symbol.dispose]: () => undefined };
    },
    waiting: (_: string, after: number) =>
      letters.map(({ letter }) => letter).filter(({ position }) => position > after),
    read: async (page: readonly Letter[]) => letters.filter(({ letter }) => page.includes(letter)),
    receipts: async () => [],
  };
  const rights = { mayTell: ({ id }: Letter) => !hidden.has(id) };
  const deps = {
    tally: { offered: 0, conflated: 0, sent: 0 },
    onSent: () => undefined,
    history: { cursor: (position: number) => `c${position}` },
    hub: { position: 0 },
    messages: { mail, rights },
    caughtUp: async () => undefined,
    now: () => 0,
    epoch: "e",
  } as unknown as StreamDeps;
  const start = { text: "c0", position: undefined, isLost: false };
  const woken = { onReady: () => undefined, onTouched: () => undefined };
  const stream = new Stream(deps, {
    caller: bob,
    via: "test",
    start,
    share: openShares(() => 0)("bob"),
    ...woken,
  });
  stream.addInbox(bob, start);
  await stream.open();

  return {
    stream,
    hidden,
    arrives(content: string): string {
      const position = letters.length + 1;
      const id = `m${position}`;
      const event = () => messageReceived({ id, node: bob.address.text, timeMs: 0, data: { id, content } });
      const message = {
        letter: { id, position, bytes: content.length } as Letter,
        subject: id,
        timeMs: 0,
        event,
      };
      letters.push(message);
      recipient?.arrived(message);
      return id;
    },
    /** Ids of the messages that are taken, with where to go on after each. */
    takes: () =>
      stream
        .take()
        .filter(({ shared }) => shared.event.type.endsWith("message.received"))
        .map(({ shared, cursor }) => `${shared.event.id} ${cursor}`),
  };
}

it("does not tell what its reader may not have any more when it takes it", async () => {
  const { arrives, takes, hidden } = await opened();
  const [one, two] = [arrives("one"), arrives("two")];
  hidden.add(one);
  expect(takes()).toEqual([`${two} c2`]);
});

it("holds no more than should wait, and tells the rest in order once that was taken", async () => {
  const { stream, arrives, takes } = await opened();
  stream.take();
  const long = "x".repeat(100_000);
  const sent = Array.from({ length: 40 }, () => arrives(long));
  expect(stream.waiting).toBeLessThan(1024 * 1024);
  expect(stream.isLive).toBe(false);
  const told: string[] = [];
  while (told.length < sent.length) {
    told.push(...takes());
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(told).toEqual(sent.map((id, index) => `${id} c${index + 1}`));
  await expect.poll(() => stream.isLive).toBe(true);
  arrives("again");
  expect(takes()).toEqual(["m41 c41"]);
});

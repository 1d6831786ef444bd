// Boxes: what waits is counted, whoever was refused takes room from itself alone, and what has expired makes room.
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../services/core/address.ts";
import { openBoxes } from "../../services/messages/boxes.ts";
import type { Message } from "../../services/messages/message-facts.ts";

const bob = parseAddress("bob@example.com");
const limits = { ofPair: { count: 3, bytes: 100 }, ofRecipient: { count: 5, bytes: 200 } };
const full = { code: "inbox-full" };

function message(
  from: string,
  wish: { bytes?: number; expiresMs?: number; isDropped?: boolean } = {},
): Message {
  const { bytes = 10, expiresMs = 10_000, isDropped = false } = wish;
  const content = isDropped ? undefined : { contentType: "text/plain", content: "x".repeat(bytes) };
  return { from, expiresMs, bytes, content, interest: undefined, revealed: [] };
}

function world() {
  let nowMs = 0;
  let position = 0;
  let ids = 0;
  const boxes = openBoxes(() => nowMs, limits);
  return {
    boxes,
    reserves: (one: Message) => boxes.reserve(`r${++ids}`, bob, one),
    stores(one: Message): string {
      const id = `m${++ids}`;
      boxes.reserve(id, bob, one);
      boxes.take(id, bob, ++position, one);
      return id;
    },
    ends: (id: string) => boxes.take(id, bob, ++position, undefined),
    passes: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("a box", () => {
  it("has room for so many of one sender, and for so many bytes", () => {
    const { reserves, stores } = world();
    for (let n = 0; n < 3; n++) stores(message("a"));
    expect(() => reserves(message("a"))).toThrow(expect.objectContaining(full));
    expect(() => reserves(message("b", { bytes: 101 }))).toThrow(expect.objectContaining(full));
    stores(message("b", { bytes: 100 }));
    expect(() => reserves(message("b", { bytes: 0 }))).not.toThrow();
    expect(() => reserves(message("b", { bytes: 1 }))).toThrow(expect.objectContaining(full));
  });

  it("has room again once one was acknowledged, has expired, or was not stored after all", () => {
    const { boxes, reserves, stores, ends, passes } = world();
    const first = stores(message("a"));
    stores(message("a", { expiresMs: 500 }));
    const takeBack = reserves(message("a"));
    expect(() => reserves(message("a"))).toThrow(expect.objectContaining(full));
    takeBack();
    takeBack();
    stores(message("a"));
    ends(first);
    stores(message("a"));
    expect(() => reserves(message("a"))).toThrow(expect.objectContaining(full));
    passes(2_000);
    stores(message("a"));
    expect(boxes.held).toBe(3);
    passes(20_000);
    expect([...(boxes.at(bob.text)?.letters ?? [])]).toEqual([]);
    expect([boxes.held, boxes.at(bob.text)]).toEqual([0, undefined]);
  });

  it("is not filled for others by whoever is shut out, who sees it fill all the same", () => {
    const { boxes, reserves, stores } = world();
    for (let n = 0; n < 3; n++) stores(message("shut", { isDropped: true }));
    expect(() => reserves(message("shut", { isDropped: true }))).toThrow(expect.objectContaining(full));
    for (let n = 0; n < 3; n++) stores(message("a"));
    for (let n = 0; n < 2; n++) stores(message("b"));
    expect(() => reserves(message("c"))).toThrow(expect.objectContaining(full));
    expect(() => reserves(message("other", { isDropped: true }))).toThrow(expect.objectContaining(full));
    expect(boxes.held).toBe(5);
  });

  it("shows in log order what was on its way", () => {
    const { boxes } = world();
    const [one, two] = [message("a"), message("b")];
    boxes.reserve("one", bob, one);
    boxes.reserve("two", bob, two);
    boxes.take("two", bob, 1, two);
    boxes.take("one", bob, 2, one);
    const letters = [...(boxes.at(bob.text)?.letters.values() ?? [])];
    expect(letters.map(({ id, position }) => [id, position])).toEqual([
      ["two", 1],
      ["one", 2],
    ]);
  });
});

// Pace: all agents of one owner together are as fast as their owner, by a clock of the test's own.
import { expect, test, vi } from "vitest";
import { type ActingDeps, openActing } from "../../services/agents/acting.ts";
import { openPace } from "../../services/agents/pace.ts";
import { makeAddress } from "../../services/core/address.ts";
import { openGate } from "../../services/egress/egress.ts";

const run = { id: "1", hops: 0 };
const atOnce = 2_000;

/** Agents on one broker, where whatever they write is written at once. */
function broker() {
  const pace = openPace(() => 0);
  return (owner: string, signal = new AbortController().signal) => {
    const address = makeAddress(owner, "localhost");
    const sent: string[] = [];
    const port = openActing({
      principal: { address, kind: "agent", scopes: [], tokenId: "" },
      node: address,
      send: async () => ({ id: String(sent.push(owner)) }),
      pace,
      signal,
    } as unknown as ActingDeps);
    const sends = () => port(run, "send", { to: "bob@localhost", content: "", key: "" });
    return { sends, sent };
  };
}

test("whoever writes faster than its owner may waits, and nobody else", async () => {
  const runs = broker();
  const [first, second, other] = [runs("alice"), runs("alice"), runs("carol")];
  await Promise.all(Array.from({ length: atOnce }, first.sends));
  const waiting = second.sends();
  await other.sends();
  expect([first.sent.length, second.sent.length, other.sent.length]).toEqual([atOnce, 0, 1]);
  await waiting;
  expect(second.sent).toHaveLength(1);
});

test("one that is stopped does not wait on", async () => {
  const stop = new AbortController();
  const alice = broker()("alice", stop.signal);
  const calls = Array.from({ length: atOnce + 100 }, alice.sends);
  stop.abort();
  const ended = await Promise.allSettled(calls);
  expect(ended.filter(({ status }) => status === "rejected")).toHaveLength(100);
});

test("an owner's agents have a part of the requests to the outside under way, and wait with the others", async () => {
  const gate = openGate({ places: 4, sharedBy: 1 });
  const answers: (() => void)[] = [];
  const fetching = (owner: string, of = run) => {
    const port = openActing({
      principal: { address: makeAddress(owner, "localhost"), kind: "agent", scopes: [], tokenId: "" },
      node: makeAddress(owner, "localhost"),
      pace: async () => undefined,
      gate,
      egress: {
        request: () =>
          new Promise((resolve) =>
            answers.push(() => resolve({ status: 200, headers: {}, body: Buffer.from(owner) })),
          ),
      },
      signal: new AbortController().signal,
    } as unknown as ActingDeps);
    return port(of, "fetch", { url: "https://example.com/" });
  };
  // What a module says by itself may lack anything.
  for (let n = 0; n < 4; n++)
    await expect(fetching("alice", null as unknown as typeof run)).rejects.toThrow();
  const hanging = [fetching("alice"), fetching("alice"), fetching("alice")];
  const other = fetching("carol");
  await vi.waitUntil(() => answers.length === 3);
  answers.pop()?.();
  expect((await other).body).toBe("carol");
  while (answers.length > 0) answers.shift()?.();
  await vi.waitUntil(() => answers.length === 1);
  answers.shift()?.();
  expect((await Promise.all(hanging)).map(({ body }) => body)).toEqual(["alice", "alice", "alice"]);
});

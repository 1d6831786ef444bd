// Handshakes: who is asked at once, and what becomes of those whose turn does not come.
import { describe, expect, test } from "vitest";
import { makeAddress } from "../../services/core/address.ts";
import { Refusal } from "../../services/core/refusal.ts";
import type { EgressAnswer } from "../../services/egress/egress.ts";
import { openHooks } from "../../services/watch/hooks.ts";
import { until } from "../store/embedded.ts";

const silent: EgressAnswer = { status: 200, headers: {}, body: Buffer.alloc(0), isWhole: true };

/** Endpoints that answer when they are told to. */
function tarpits() {
  const held: (() => void)[] = [];
  const hooks = openHooks({
    egress: {
      objection: () => undefined,
      request: () => new Promise((resolve) => held.push(() => resolve(silent))),
    },
    secrets: { keep: async () => undefined, forget: async () => undefined, of: async () => [] },
    domain: "localhost",
    handshakeMs: 100,
  });
  return { hooks, held };
}

const wish = { url: "https://tarpit.example/" };
const [alice, bob] = [makeAddress("alice", "localhost"), makeAddress("bob", "localhost")];

describe("handshakes", () => {
  test("wait for a turn, and are refused when it does not come, with what to do", async () => {
    const { hooks, held } = tarpits();
    const five = Array.from({ length: 5 }, () => hooks.agree(alice, wish));
    await until("five under way", () => held.length === 5);
    const refusal = await hooks.agree(alice, wish).catch((error: Error) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({ code: "rate-limited", status: 429, waitSeconds: 1 });
    const waits = hooks.agree(alice, wish);
    const ofBob = hooks.agree(bob, wish);
    await until("bob's turn", () => held.length === 6);
    held.shift()?.();
    await until("alice's next turn", () => held.length === 6);
    for (const answer of held) answer();
    for (const agreed of [...five, waits, ofBob]) {
      expect(await agreed).toMatchObject({ hook: { isVerified: false } });
    }
  });

  test("are never more than a hundred, whoever they are for", async () => {
    const { hooks, held } = tarpits();
    let refused = 0;
    for (let n = 0; n < 60; n++) {
      const owner = makeAddress(`tarpit-${n}`, "localhost");
      for (let asked = 0; asked < 6; asked++) hooks.agree(owner, wish).catch(() => refused++);
    }
    await until("all others to be refused", () => refused === 60 * 6 - 100);
    expect(held.length).toBe(100);
  });
});

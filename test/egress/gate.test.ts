// The gate: who begins at once, who waits, and who is next, by the one rule and in any order of asking, ending and giving up.
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Gate, openGate } from "../../services/egress/egress.ts";

/** An owner of requests, numbered as it asks for their places. */
class Owner {
  /** In the order in which they began. */
  readonly begun: number[] = [];
  readonly #gate: Gate;
  readonly #name: string;
  readonly #ends: (() => void)[] = [];
  readonly #waiting = new Map<number, AbortController>();
  #asked = 0;

  constructor(gate: Gate, name: string) {
    this.#gate = gate;
    this.#name = name;
  }

  get underWay(): number {
    return this.#ends.length;
  }

  get waiting(): number[] {
    return [...this.#waiting.keys()];
  }

  async asks(count = 1): Promise<void> {
    for (let asked = 0; asked < count; asked++) {
      const number = this.#asked++;
      const giving = new AbortController();
      this.#waiting.set(number, giving);
      this.#gate.enter(this.#name, giving.signal).then((end) => {
        this.#waiting.delete(number);
        if (end === undefined) return;
        this.#ends.push(end);
        this.begun.push(number);
      });
    }
    await setImmediate();
  }

  async ends(count = 1): Promise<void> {
    for (const end of this.#ends.splice(0, count)) end();
    await setImmediate();
  }

  async givesUp(number: number): Promise<void> {
    this.#waiting.get(number)?.abort();
    await setImmediate();
  }
}

function owners(gate: Gate, ...names: string[]): Owner[] {
  return names.map((name) => new Owner(gate, name));
}

const underWay = (all: readonly Owner[]): number[] => all.map((one) => one.underWay);

describe("the gate", () => {
  test("gives one owner a part of the places, however many it asks for, and the next one a part of what is left", async () => {
    const all = owners(openGate({ places: 100, sharedBy: 4 }), "alice", "bob", "carol");
    for (const one of all) await one.asks(1_000);
    expect(underWay(all)).toEqual([20, 16, 13]);
    const few = owners(openGate({ places: 100, sharedBy: 20 }), "alice", "bob");
    for (const one of few) await one.asks(1_000);
    expect(underWay(few)).toEqual([5, 5]);
  });

  test("keeps a place for whoever comes next until thirty owners hold all that they get", async () => {
    const names = Array.from({ length: 29 }, (_, n) => `tarpit ${n}`);
    const gate = openGate({ places: 2_000, sharedBy: 4 });
    const all = owners(gate, ...names);
    for (const one of all) await one.asks(401);
    const [carol] = owners(gate, "carol") as [Owner];
    await carol.asks(2);
    expect(carol.underWay).toBe(1);
    // None is left; the next one that comes free is for whoever has none.
    const [dave] = owners(gate, "dave") as [Owner];
    await dave.asks();
    expect(dave.underWay).toBe(0);
    await all[0]?.ends();
    expect([dave.underWay, carol.underWay, all[0]?.underWay]).toEqual([1, 1, 399]);
  });

  test("lets one owner's requests begin in the order in which they came, past those that gave up", async () => {
    const [alice] = owners(openGate({ places: 4, sharedBy: 1 }), "alice") as [Owner];
    await alice.asks(6);
    expect(alice.begun).toEqual([0, 1]);
    await alice.givesUp(3);
    await alice.givesUp(2);
    for (let ended = 0; ended < 3; ended++) await alice.ends();
    expect(alice.begun).toEqual([0, 1, 4, 5]);
    await alice.ends();
    await alice.asks(3);
    expect(alice.begun).toEqual([0, 1, 4, 5, 6, 7]);
  });

  test("gives each place to whoever has fewest under way, and among equals to whoever waits longest", async () => {
    const all = owners(openGate({ places: 3, sharedBy: 1 }), "alice", "bob", "carol");
    const [alice, bob, carol] = all as [Owner, Owner, Owner];
    await alice.asks(9);
    await bob.asks(9);
    await carol.asks(9);
    expect(underWay(all)).toEqual([2, 1, 0]);
    await alice.ends();
    expect(underWay(all)).toEqual([1, 1, 1]);
    // Nobody gets a second one before everybody had a first.
    await bob.ends();
    expect(underWay(all)).toEqual([1, 1, 1]);
    expect(bob.begun).toEqual([0, 1]);
  });

  test("keeps nobody waiting for whoever gave up", async () => {
    const all = owners(openGate({ places: 1, sharedBy: 1 }), "alice", "bob", "carol");
    const [alice, bob, carol] = all as [Owner, Owner, Owner];
    for (const one of all) await one.asks();
    await bob.givesUp(0);
    await alice.ends();
    expect(underWay(all)).toEqual([0, 0, 1]);
    await carol.ends();
    await bob.asks();
    expect(underWay(all)).toEqual([0, 1, 0]);
  });

  test("takes turns where there is but one place", async () => {
    const all = owners(openGate({ places: 1, sharedBy: 4 }), "alice", "bob", "carol");
    for (const one of all) await one.asks(5);
    const turns: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      const now = all.findIndex((one) => one.underWay > 0);
      turns.push(now);
      await all[now]?.ends();
    }
    expect(turns).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("gives nothing to whoever has left already", async () => {
    const gate = openGate({ places: 1, sharedBy: 1 });
    expect(await gate.enter("alice", AbortSignal.abort())).toBeUndefined();
    expect(await gate.enter("alice", new AbortController().signal)).toBeTypeOf("function");
  });

  test("leaves nobody waiting who may begin, whatever happens", async () => {
    const room = fc.record({
      places: fc.integer({ min: 1, max: 30 }),
      sharedBy: fc.integer({ min: 1, max: 5 }),
    });
    const step = fc.record({
      who: fc.nat({ max: 4 }),
      does: fc.constantFrom("asks", "asks", "ends", "gives up"),
      which: fc.nat({ max: 100 }),
    });
    await fc.assert(
      fc.asyncProperty(room, fc.array(step, { maxLength: 120 }), async ({ places, sharedBy }, steps) => {
        const all = owners(openGate({ places, sharedBy }), "a", "b", "c", "d", "e");
        for (const { who, does, which } of steps) {
          const one = all[who] as Owner;
          const before = underWay(all);
          if (does === "asks") await one.asks(1 + (which % 3));
          else if (does === "ends") await one.ends();
          else await one.givesUp(one.waiting[which % one.waiting.length] ?? -1);
          const free = places - underWay(all).reduce((sum, count) => sum + count, 0);
          expect(free).toBeGreaterThanOrEqual(0);
          const waiting = all.filter((each) => each.waiting.length > 0);
          for (const each of waiting) expect(each.underWay * sharedBy).toBeGreaterThanOrEqual(free);
          for (const each of all) expect(each.begun).toEqual(each.begun.toSorted((a, b) => a - b));
          if (does !== "ends" || before[who] === 0) continue;
          before[who] = (before[who] as number) - 1;
          const next = all.findIndex((each, index) => each.underWay > (before[index] as number));
          if (next < 0) continue;
          // Whoever began had no more under way than anybody who still waits.
          const had = before[next] as number;
          for (const each of waiting) expect(each.underWay).toBeGreaterThanOrEqual(had);
        }
      }),
      { numRuns: 300 },
    );
  });
});

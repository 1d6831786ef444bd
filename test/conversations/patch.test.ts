// PATCH: several properties at once, all or nothing, never half of it in anybody's sight.
import { describe, expect, test } from "vitest";
import { aWorld, type Data, type Heard, isFull, nodePath, stages } from "./world.ts";

const names = ["five.a", "five.b", "five.c", "five.d", "five.e"];
const five = (value: unknown): Record<string, { value: unknown }> =>
  Object.fromEntries(names.map((name) => [name, { value }]));

describe.each(stages)("patches on the %s log", (stage) => {
  const world = aWorld(stage);

  test("sets and removes together, and says what it did", async () => {
    const alice = await world.registers("alice");
    await alice.patches({ set: five(0) });
    const answer = await alice.patches({
      set: {
        "five.a": { value: 1 },
        presence: { value: { status: "online" }, lease: { seconds: 60, id: "p" } },
      },
      remove: ["five.b", "five.c", "never-was"],
    });
    expect(answer).toEqual({
      address: alice.address,
      properties: {
        "five.a": await alice.gets(alice, "five.a"),
        presence: await alice.gets(alice, "presence"),
      },
      removed: ["five.b", "five.c"],
    });
    expect(Object.keys((await alice.reads(alice)).properties).sort()).toEqual([
      "five.a",
      "five.d",
      "five.e",
      "presence",
    ]);
    expect((await alice.renews("p")).properties).toHaveLength(1);
  });

  test("no read of the node ever shows half of a patch", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: five(0) });
    const rounds = isFull ? 500 : 60;
    let round = 0;
    const pen = (async () => {
      while (round < rounds) await alice.patches({ set: five(++round) });
    })();
    const seen = new Set<number>();
    const reader = async (): Promise<void> => {
      while (round < rounds) {
        const { properties } = await bob.reads(alice, "?properties=five.*");
        const values = Object.values(properties as Record<string, Data>).map(({ value }) => value);
        expect(new Set(values).size).toBe(1);
        expect(values).toHaveLength(5);
        seen.add(values[0]);
      }
    };
    await Promise.all([pen, reader(), reader(), reader(), reader()]);
    expect(seen.size).toBeGreaterThan(3);
  });

  test("a watcher hears a patch in one run, with nothing in between, at neighbouring revisions", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.watches(alice);
    const rounds = 20;
    let patching = true;
    const other = (async () => {
      for (let value = 0; patching; value++) await alice.sets("five.other", value);
    })();
    const heard: Heard[] = [];
    for (let round = 1; round <= rounds; round++) {
      await alice.patches({ set: five(round) });
      heard.push(...(await bob.hearsUpToNow()));
    }
    patching = false;
    await other;
    for (let round = 1; round <= rounds; round++) {
      const from = heard.findIndex(({ event }) => event.data.name === names[0] && event.data.value === round);
      const run = heard.slice(from, from + 5);
      expect(run.map(({ event }) => `${event.data.name} ${event.data.value}`)).toEqual(
        names.map((name) => `${name} ${round}`),
      );
      const first = run[0]?.event.data.revision;
      expect(run.map(({ event }) => event.data.revision)).toEqual(names.map((_, index) => first + index));
      // They were written at once.
      expect(new Set(run.map(({ piece }) => piece)).size).toBe(1);
    }
  });

  test("a cursor from the middle of a patch resumes with the whole of it", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("before", 1);
    await bob.watches(alice);
    await alice.patches({ set: five(1) });
    const run = await bob.hearsMany(5);
    for (const [index, { cursor }] of run.entries()) {
      const { snapshot } = await bob.watches(alice, undefined, { after: cursor });
      expect(snapshot.map(({ event }) => event)).toEqual(index < 4 ? run.map(({ event }) => event) : []);
    }
  });

  test("removed together is heard together", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: five(1) });
    await bob.watches(alice);
    await alice.patches({ set: { "five.a": { value: 2 } }, remove: names.slice(1) });
    const run = await bob.hearsMany(5);
    expect(run.map(({ event }) => event.type.split(".").at(-1)).toSorted()).toEqual([
      "changed",
      "removed",
      "removed",
      "removed",
      "removed",
    ]);
    expect(new Set(run.map(({ piece }) => piece)).size).toBe(1);
    await bob.hearsNothing();
  });

  test("one thing that cannot be stored leaves everything as it was", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.patches({ set: five(0) });
    const before = await alice.reads(alice);
    await bob.watches(alice);
    const good = five(1);
    const large = "x".repeat(64 * 1024);
    const refusals: [change: Data, status: number, code: string, pointer?: string][] = [
      [
        { set: { ...good, presence: { value: { status: 7 } } } },
        422,
        "value-invalid",
        "/set/presence/value/status",
      ],
      [{ set: { ...good, other: { value: large } } }, 413, "value-too-large", "/set/other/value"],
      [
        { set: { ...good, other: { value: 1, lease: { seconds: 0 } } } },
        422,
        "bad-lease",
        "/set/other/lease/seconds",
      ],
      [{ set: { ...good, "Not A Name": { value: 1 } } }, 400, "bad-name"],
      [{ set: good, remove: ["five.a"] }, 400, "bad-request"],
      [{ set: good, remove: [7] }, 400, "bad-request"],
      [{ set: { ...good, other: { value: 1, surprise: 1 } } }, 400, "bad-request"],
      [{ set: { ...good, other: {} } }, 400, "bad-request"],
      [
        { set: good, remove: Array.from({ length: 500 }, (_, index) => `n${index}`) },
        422,
        "too-many-properties",
      ],
      [
        { set: Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`n${index}`, { value: 1 }])) },
        422,
        "too-many-properties",
      ],
    ];
    for (const [change, status, code, pointer] of refusals) {
      const answer = await alice.asks("PATCH", nodePath(alice.address), { body: change });
      expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
      if (pointer) expect(answer.body.errors[0].pointer).toBe(pointer);
    }
    const narrow = (await alice.asks("POST", "/v1/tokens", { body: { scopes: ["write:five.*"] } })).body
      .token;
    const refused = alice.with(narrow).patches({ set: { ...good, travel: { value: { city: "Oslo" } } } });
    await expect(refused).rejects.toMatchObject({ status: 403, code: "scope-missing" });
    expect(await alice.reads(alice)).toEqual(before);
    await bob.hearsNothing();
    await alice.with(narrow).patches({ set: good });
    expect(await bob.hearsMany(5)).toHaveLength(5);
  });

  test("on a full node one takes another's place", async () => {
    const alice = await world.registers("alice");
    const full = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`n${n}`, { value: n }]));
    await alice.patches({ set: full });
    await expect(alice.sets("other", 1)).rejects.toMatchObject({ code: "too-many-properties" });
    await alice.patches({ set: { other: { value: 1 } }, remove: ["n0"] });
    const two = { set: { a: { value: 1 }, b: { value: 1 } }, remove: ["n1", "n0"] };
    await expect(alice.patches(two)).rejects.toMatchObject({ code: "too-many-properties" });
    expect(await alice.sees(alice, "other")).toBe(1);
    expect(await alice.sees(alice, "n1")).toBe(1);
  });

  test("somebody else's node is not patched, whether it exists or not", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    for (const who of [alice.address, "nobody-ever@localhost", `${alice.address}/bike`]) {
      const answer = await bob.asks("PATCH", nodePath(who), { body: { set: five(1) } });
      expect(answer).toMatchObject({ status: 403, body: { code: "forbidden" } });
    }
  });
});

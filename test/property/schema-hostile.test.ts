// Schemas and patterns made to hurt: what they cost is theirs, and never their neighbours', the thread's, the process's.
// In: attacks, with friends beside them. Out: refusals in time, and friends served. Never: a wait for less than a verdict.

import { execFile } from "node:child_process";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import {
  openSchemaCheck,
  SchemaCheckClosed,
  SchemaCheckOverloaded,
  type SchemaVerdict,
} from "../../services/property/schema-check.ts";

const FRIENDLY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

/** Each level doubles the work of the one below: 2^levels tries, in less than 2 KB of schema. */
function doubling(levels: number, leaf: object): object {
  const $defs: Record<string, object> = { [`d${levels}`]: leaf };
  for (let level = 0; level < levels; level += 1) {
    const below = { $ref: `#/$defs/d${level + 1}` };
    $defs[`d${level}`] = { anyOf: [below, below] };
  }
  return { $defs, $ref: "#/$defs/d0" };
}

function nested(levels: number): object {
  let schema: object = { type: "string" };
  for (let level = 1; level < levels; level += 1) schema = { not: schema };
  return schema;
}

function refused(verdict: SchemaVerdict): { pointer: string; detail: string } {
  if (verdict.ok) throw new Error("expected a refusal");
  const [first] = verdict.errors;
  if (first === undefined) throw new Error("a refusal without an error");
  return first;
}

describe("a hostile schema", () => {
  const EXPLODING = doubling(28, { type: "string" });

  test("is stopped in time, while its neighbours are served", async () => {
    await using check = openSchemaCheck({ heapMb: 512 });
    await check.validate("friendly", FRIENDLY, { city: "Oslo" });
    const began = performance.now();
    const [before, exploded, value, after] = await Promise.all([
      check.validate("friendly", FRIENDLY, { city: "Oslo" }),
      check.check(EXPLODING),
      check.validate("exploding", EXPLODING, 1),
      check.validate("friendly", FRIENDLY, { city: 1 }),
    ]);
    expect(before).toEqual({ ok: true });
    expect(refused(exploded).detail).toMatch(/checking this schema took longer than 250 ms/);
    expect(refused(value).detail).toMatch(/checking this value .* took longer than 250 ms/);
    expect(refused(after).pointer).toBe("/city");
    expect(check.stats()).toMatchObject({ overruns: 2, crashes: 0, waiting: 0 });
    // Two limits and two starts, with room for a busy machine; unlimited it would be minutes.
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test("makes those like it wait, not those behind it", async () => {
    await using check = openSchemaCheck({ timeLimitMs: 100, heapMb: 512 });
    await check.validate("exploding", EXPLODING, 1);
    const order: string[] = [];
    const note = (name: string) => () => void order.push(name);
    await Promise.all([
      check.validate("warm", FRIENDLY, {}),
      ...Array.from({ length: 3 }, () => check.validate("exploding", EXPLODING, 1).then(note("hostile"))),
      ...Array.from({ length: 3 }, () => check.check(EXPLODING).then(note("hostile"))),
      ...Array.from({ length: 100 }, () => check.validate("friendly", FRIENDLY, {}).then(note("friendly"))),
    ]);
    expect(order.slice(0, 100)).toEqual(Array(100).fill("friendly"));
    expect(order.slice(100)).toEqual(Array(6).fill("hostile"));
  });

  test("that is slow but in time does not hold up what came in behind it", async () => {
    await using check = openSchemaCheck({ workers: 1, timeLimitMs: 20_000 });
    const pairs = Array.from({ length: 5000 }, (_, i) => [i]);
    const order: string[] = [];
    const note = (name: string) => () => void order.push(name);
    await Promise.all([
      ...Array.from({ length: 6 }, () =>
        check.validate("slow", { uniqueItems: true }, pairs).then(note("slow")),
      ),
      ...Array.from({ length: 20 }, () => check.validate("friendly", FRIENDLY, {}).then(note("friendly"))),
    ]);
    // The first showed that it is slow alone, the second in its batch; the others wait.
    expect(order.slice(0, 22)).toEqual(["slow", "slow", ...Array(20).fill("friendly")]);
  });

  test("that eats memory ends its worker, and nothing else", async () => {
    // The errors of each try are kept, so this one grows until the heap ends.
    await using check = openSchemaCheck({ timeLimitMs: 60_000, heapMb: 24 });
    const [eaten, friendly] = await Promise.all([
      check.validate("bomb", EXPLODING, 1),
      check.validate("friendly", FRIENDLY, { city: "Oslo" }),
    ]);
    expect(refused(eaten).detail).toMatch(/needed more than 24 MB of memory/);
    expect(friendly).toEqual({ ok: true });
    expect(check.stats()).toMatchObject({ overruns: 0, crashes: 2 });
    expect(await check.check(FRIENDLY)).toEqual({ ok: true });
  });

  test("never holds up the thread that serves everybody", async () => {
    await using check = openSchemaCheck({ timeLimitMs: 250 });
    await check.check(FRIENDLY);
    using delay = observeDelay();
    await Promise.all([
      check.check(EXPLODING),
      check.check({ description: "x".repeat(1_000_000) }),
      check.check(nested(50_000)),
      check.validate("redos", { pattern: "(a+)+$" }, `${"a".repeat(60_000)}!`),
      check.validate(
        "unique",
        { uniqueItems: true },
        Array.from({ length: 15_000 }, (_, i) => [i]),
      ),
      check.validate("exploding", EXPLODING, 1),
    ]);
    expect(check.stats().overruns).toBeGreaterThanOrEqual(2);
    expect(delay.maxMs()).toBeLessThan(100);
  });
});

function observeDelay(): Disposable & { maxMs(): number } {
  const histogram = monitorEventLoopDelay({ resolution: 5 });
  histogram.enable();
  return { maxMs: () => histogram.max / 1e6, [Symbol.dispose]: () => void histogram.disable() };
}

test("a schema that takes its time keeps no value of another type waiting", async () => {
  await using check = openSchemaCheck({ timeLimitMs: 5_000, heapMb: 512 });
  await check.validate("friendly", FRIENDLY, { city: "Oslo" });
  let isOver = false;
  const slow = check.check(doubling(28, { type: "string" })).finally(() => (isOver = true));
  expect(await check.validate("friendly", FRIENDLY, { city: "Rome" })).toEqual({ ok: true });
  expect(isOver).toBe(false);
  const ended = expect(slow).rejects.toThrow(SchemaCheckClosed);
  await check[Symbol.asyncDispose]();
  await ended;
});

describe("bounds", () => {
  test("a thousand schemas leave no more validators than the cache holds, and no worker behind", async () => {
    await using check = openSchemaCheck({ timeLimitMs: 20_000, cacheMax: 50, workers: 1 });
    for (let round = 0; round < 10; round += 1)
      await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const n = round * 100 + i;
          const schema = { type: "object", properties: { n: { const: n, pattern: `^${n}$` } } };
          expect(await check.validate(`k${n}`, schema, { n })).toEqual({ ok: true });
          expect((await check.validate(`k${n}`, schema, { n: -1 })).ok).toBe(false);
        }),
      );
    expect(check.stats()).toEqual({ waiting: 0, cached: 50, overruns: 0, crashes: 0 });
  });

  test("the cache keeps what is used", async () => {
    await using check = openSchemaCheck({ timeLimitMs: 20_000, cacheMax: 2, workers: 1 });
    // A key stands for a schema: while it is cached, the schema given with it is not looked at again.
    await check.validate("used", { const: 1 }, 1);
    await check.validate("b", {}, 1);
    await check.validate("used", { const: 1 }, 1);
    await check.validate("c", {}, 1);
    expect((await check.validate("used", { const: 2 }, 1)).ok).toBe(true);
    expect((await check.validate("b", { const: 2 }, 1)).ok).toBe(false);
  });

  test("one too many waiting is refused at once, the others are served", async () => {
    await using check = openSchemaCheck({ timeLimitMs: 20_000, waitingMax: 3, workers: 1 });
    const served = Array.from({ length: 4 }, () => check.validate("friendly", FRIENDLY, { city: "Oslo" }));
    await expect(check.validate("friendly", FRIENDLY, {})).rejects.toThrow(SchemaCheckOverloaded);
    expect(await Promise.all(served)).toEqual(Array(4).fill({ ok: true }));
  });

  test("more workers share the work", async () => {
    await using check = openSchemaCheck({ timeLimitMs: 20_000 });
    const verdicts = await Promise.all(
      Array.from({ length: 500 }, (_, i) => check.validate("friendly", FRIENDLY, { city: i })),
    );
    expect(verdicts.filter((verdict) => verdict.ok)).toEqual([]);
    expect(check.stats().cached).toBe(2);
  });
});

test("closing answers what still waits, and takes nothing more", async () => {
  const check = openSchemaCheck();
  const waiting = [check.check(FRIENDLY), check.validate("friendly", FRIENDLY, {})];
  const answers = Promise.allSettled(waiting);
  await check[Symbol.asyncDispose]();
  for (const answer of await answers)
    expect(answer).toMatchObject({ status: "rejected", reason: expect.any(SchemaCheckClosed) });
  await expect(check.validate("friendly", FRIENDLY, {})).rejects.toThrow(SchemaCheckClosed);
});

test("an idle worker does not keep the process alive; a busy one does until it has answered", async () => {
  const file = new URL("../../services/property/schema-check.ts", import.meta.url);
  const script = `
    import { openSchemaCheck } from ${JSON.stringify(file.href)};
    const verdict = await openSchemaCheck().check({ type: "object" });
    console.log(JSON.stringify(verdict));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    timeout: 20_000,
  });
  expect(stdout.trim()).toBe('{"ok":true}');
});

// The contract that every log must keep: the promises of services/store/log.ts, one test each.
// In: a way to open an empty log. Out: vitest tests. Never: knowledge of an implementation.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Conflict, type Fact, type Log } from "../../services/store/log.ts";

export type OpenLog = () => Promise<{ log: Log } & AsyncDisposable>;

/** How many rounds a race is run: small by default, larger in the full run. */
const rounds = process.env.TIDINGS_TEST_FULL === "1" ? 2_000 : 200;

export function logContract(name: string, open: OpenLog): void {
  describe(`the log on ${name}`, () => {
    let opened: Awaited<ReturnType<OpenLog>>;
    let log: Log;

    beforeEach(async () => {
      opened = await open();
      log = opened.log;
    });
    afterEach(async () => {
      await opened[Symbol.asyncDispose]();
    });

    it("gives each fact a position of its own, and they rise", async () => {
      const first = await log.append([{ subject: "t.a", body: "1", expected: 0 }]);
      const second = await log.append([{ subject: "t.a", body: "2", expected: first }]);
      expect(second).toBeGreaterThan(first);
      expect(await log.last("t.a")).toMatchObject({ position: second, body: "2", groupEnd: second });
      expect([await log.end(), await log.lastGiven()]).toEqual([second, second]);
    });

    it("says where it ends, whatever the asker knows", async () => {
      const first = await log.append([{ subject: "t.a", body: "1", expected: 0 }]);
      const second = await log.append([{ subject: "t.b", body: "2", expected: 0 }]);
      expect([await log.end(), await log.end(first), await log.end(second)]).toEqual([
        second,
        second,
        second,
      ]);
    });

    it("has no last fact where nothing was appended", async () => {
      expect(await log.last("t.nothing")).toBeUndefined();
      const { facts, position } = await log.snapshot(["t.nothing", "t.more.>"]);
      expect(facts).toEqual([]);
      expect(position).toBe(await log.end());
    });

    it("holds an append to where another subject stands", async () => {
      const gate = await log.append([{ subject: "t.gate", body: "open", expected: 0 }]);
      const note = { body: "through", of: "t.gate", expected: gate };
      const first = await log.append([
        { subject: "t.a", body: "1", expected: 0 },
        { subject: "t.note.1", ...note },
      ]);
      const { facts } = await log.snapshot(["t.a", "t.note.1"]);
      expect(facts.map(({ body, position, groupEnd }) => [body, position, groupEnd])).toEqual([
        ["1", first, first + 1],
        ["through", first + 1, first + 1],
      ]);
      // Its own subject may stand anywhere.
      await log.append([{ subject: "t.note.1", ...note }]);
      await log.append([{ subject: "t.gate", body: "closed", expected: gate }]);
      const late = log.append([
        { subject: "t.a", body: "2", expected: first },
        { subject: "t.note.2", ...note },
      ]);
      await expect(late).rejects.toThrow(Conflict);
      expect([(await log.last("t.a"))?.body, await log.last("t.note.2")]).toEqual(["1", undefined]);
    });

    it("lets nothing through a gate that closes, and refuses nobody who was there before", async () => {
      const writes = Array.from({ length: 200 }, (_, n) =>
        log.append([
          { subject: `t.n.${n}`, body: `${n}`, expected: 0 },
          { subject: `t.note.${n}`, body: "", of: "t.gate", expected: 0 },
        ]),
      );
      const closing = log.append([{ subject: "t.gate", body: "closed", expected: 0 }]);
      const others = Array.from({ length: 50 }, (_, n) =>
        log.append([{ subject: `t.free.${n}`, body: "", expected: 0 }]),
      );
      const [outcomes, closed] = await Promise.all([Promise.allSettled(writes), closing]);
      await Promise.all(others);
      for (const [n, outcome] of outcomes.entries()) {
        const fact = await log.last(`t.n.${n}`);
        if (outcome.status === "fulfilled") expect(fact?.position).toBeLessThan(closed);
        else expect([outcome.reason instanceof Conflict, fact]).toEqual([true, undefined]);
      }
    });

    it("refuses an append whose subject has moved on, and applies none of its facts", async () => {
      await log.append([{ subject: "t.a", body: "1", expected: 0 }]);
      await expect(log.append([{ subject: "t.a", body: "2", expected: 0 }])).rejects.toThrow(Conflict);
      await expect(
        log.append([
          { subject: "t.b", body: "b", expected: 0 },
          { subject: "t.a", body: "2", expected: 0 },
        ]),
      ).rejects.toThrow(Conflict);
      expect(await log.last("t.b")).toBeUndefined();
      expect((await log.last("t.a"))?.body).toBe("1");
    });

    it("lets exactly one of two writers from the same position win", async () => {
      let position = 0;
      for (let round = 0; round < rounds; round++) {
        const results = await Promise.allSettled([
          log.append([{ subject: "t.race", body: "left", expected: position }]),
          log.append([{ subject: "t.race", body: "right", expected: position }]),
        ]);
        const won = results.filter((result) => result.status === "fulfilled");
        const lost = results.filter((result) => result.status === "rejected");
        expect([won.length, lost.length]).toEqual([1, 1]);
        expect(lost[0]?.reason).toBeInstanceOf(Conflict);
        position = won[0]?.value ?? 0;
      }
    });

    it("lets the others through when one of many that wait together is refused", async () => {
      await log.append([{ subject: "t.n.7", body: "taken", expected: 0 }]);
      const results = await Promise.allSettled(
        Array.from({ length: 100 }, (_, n) =>
          log.append([{ subject: `t.n.${n}`, body: `${n}`, expected: 0 }]),
        ),
      );
      expect(
        results.map((result, n) => (result.status === "rejected" ? n : -1)).filter((n) => n >= 0),
      ).toEqual([7]);
      const { facts } = await log.snapshot(["t.n.*"]);
      expect(facts).toHaveLength(100);
      for (const [n, result] of results.entries()) {
        if (result.status !== "fulfilled") continue;
        expect(facts.find((fact) => fact.subject === `t.n.${n}`)?.position).toBe(result.value);
      }
    });

    it("puts the facts of one append side by side, and says where they end", async () => {
      const noise = Array.from({ length: 50 }, (_, n) =>
        log.append([{ subject: `t.noise.${n}`, body: "x", expected: 0 }]),
      );
      const first = await log.append(
        ["a", "b", "c"].map((name) => ({ subject: `t.g.${name}`, body: name, expected: 0 })),
      );
      await Promise.all(noise);
      const { facts } = await log.snapshot(["t.g.*"]);
      expect(facts.map((fact) => fact.position)).toEqual([first, first + 1, first + 2]);
      expect(facts.map((fact) => fact.groupEnd)).toEqual([first + 2, first + 2, first + 2]);
    });

    it("takes several appends to one subject that wait together, in their order", async () => {
      const first = log.append([{ subject: "t.s", body: "1", expected: 0 }]);
      const position = await first;
      const others = Array.from({ length: 20 }, (_, n) =>
        log.append([{ subject: `t.o.${n}`, body: "o", expected: 0 }]),
      );
      const again = log.append([{ subject: "t.s", body: "2", expected: position }]);
      const stale = log.append([{ subject: "t.s", body: "3", expected: position }]);
      await expect(stale).rejects.toThrow(Conflict);
      await Promise.all([...others, again]);
      expect((await log.last("t.s"))?.body).toBe("2");
    });

    it("shows a snapshot without a hole and without half a group while writers are at full speed", async () => {
      const names = ["a", "b", "c", "d", "e"];
      let positions = names.map(() => 0);
      let writing = true;
      const writer = (async () => {
        for (let n = 1; writing; n++) {
          const first = await log.append(
            names.map((name, i) => ({
              subject: `t.p.${name}`,
              body: String(n),
              expected: positions[i] ?? 0,
            })),
          );
          positions = names.map((_, i) => first + i);
        }
      })();
      let noisePosition = 0;
      const noise = (async () => {
        while (writing)
          noisePosition = await log.append([{ subject: "t.p.z", body: "z", expected: noisePosition }]);
      })();
      try {
        let newest = 0;
        for (let round = 0; round < rounds; round++) {
          const { facts, position } = await log.snapshot(["t.p.*"]);
          const group = facts.filter((fact) => fact.subject !== "t.p.z");
          expect(new Set(group.map((fact) => fact.body)).size).toBeLessThanOrEqual(1);
          expect([0, 5]).toContain(group.length);
          expect(position).toBeGreaterThanOrEqual(newest);
          newest = position;
        }
      } finally {
        writing = false;
        await Promise.all([writer, noise]);
      }
    });

    it("takes over from a snapshot to the feed without a hole", async () => {
      const stop = new AbortController();
      const latest = new Map<string, number>();
      let written = 0;
      const writers = Array.from({ length: 10 }, async (_, n) => {
        for (let i = 1, position = 0; i <= 30; i++) {
          position = await log.append([{ subject: `t.w.${n}`, body: String(i), expected: position }]);
          written++;
        }
      });
      while (written < 50) await new Promise((resolve) => setImmediate(resolve));
      const { facts, position } = await log.snapshot(["t.w.*"]);
      for (const fact of facts) latest.set(fact.subject, Number(fact.body));
      const last = log.append([{ subject: "t.last", body: "31", expected: 0 }]);
      const ends = Promise.all([...writers, last]).then(() => log.end());
      for await (const batch of log.feed(position, stop.signal)) {
        for (const fact of batch) {
          if (fact.subject !== "t.last")
            latest.set(fact.subject, Math.max(latest.get(fact.subject) ?? 0, Number(fact.body)));
        }
        if (batch.at(-1)?.position === (await ends)) stop.abort();
      }
      expect([...latest.values()]).toEqual(Array(10).fill(30));
    });

    it("feeds what is there and what follows, each position once and in order", async () => {
      for (let n = 0; n < 20; n++) await log.append([{ subject: `t.f.${n}`, body: "old", expected: 0 }]);
      const stop = new AbortController();
      const seen: Fact[] = [];
      const following = (async () => {
        for await (const batch of log.feed(0, stop.signal)) {
          seen.push(...batch);
          if (seen.length >= 60) stop.abort();
        }
      })();
      await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          log.append([{ subject: `t.f.new${n}`, body: "new", expected: 0 }]),
        ),
      );
      await following;
      expect(seen.map((fact) => fact.position)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
    });

    it("ends a feed that is waiting when its signal says so", async () => {
      const stop = new AbortController();
      const following = (async () => {
        for await (const _ of log.feed(0, stop.signal)) expect.unreachable();
      })();
      stop.abort();
      await following;
    });

    it("snapshots more subjects than one answer of the store holds", async () => {
      await Promise.all(
        Array.from({ length: 1500 }, (_, n) =>
          log.append([{ subject: `t.many.${n}`, body: "x", expected: 0 }]),
        ),
      );
      const { facts, position } = await log.snapshot(["t.many.*"]);
      expect(new Set(facts.map((fact) => fact.subject)).size).toBe(1500);
      expect(position).toBeGreaterThanOrEqual(1500);
    });

    it("snapshots one fact of a group whose others were not asked for", async () => {
      await log.append(
        ["a", "b", "c"].map((name) => ({ subject: `t.part.${name}`, body: name, expected: 0 })),
      );
      expect((await log.snapshot(["t.part.a"])).facts).toHaveLength(1);
    });

    it("takes the longest subject that an address and a name can make", async () => {
      const subject = `t.${"a".repeat(3_060)}.property.x`;
      const position = await log.append([
        { subject, body: "long", expected: 0 },
        { subject: "t.short", body: "short", expected: 0 },
      ]);
      expect(await log.last(subject)).toMatchObject({ position, body: "long" });
      const { facts } = await log.snapshot([subject]);
      expect(facts).toHaveLength(1);
    });

    it("keeps Unicode in bodies as it was", async () => {
      const body = JSON.stringify({ text: "naïve 😀 \u2028 \u0000" });
      await log.append([{ subject: "t.u", body, expected: 0 }]);
      expect((await log.last("t.u"))?.body).toBe(body);
    });
  });
}

// The audit's rings: how much strangers can make it remember, and what remains when two brokers write.
import { describe, expect, test } from "vitest";
import { openAudit } from "../../services/accounts/audit.ts";
import { follow } from "../../services/store/follower.ts";
import { openMemoryLog } from "../../services/store/memory.ts";

function opened() {
  let nowMs = Date.now();
  const log = openMemoryLog();
  const troubles: string[] = [];
  const open = () => {
    const follower = follow(log);
    const audit = openAudit({
      prefix: "a.localhost",
      log,
      follower,
      now: () => nowMs,
      onTrouble: (trouble) => troubles.push(trouble),
    });
    return { ...audit, follower };
  };
  return { log, troubles, open, passes: (ms: number) => (nowMs += ms) };
}

describe("the audit", () => {
  test("keeps the newest thousand of a kind, whatever strangers do, and all of the other kinds", async () => {
    const { log, troubles, open, passes } = opened();
    const audit = open();
    audit.record("type.set", { type: "mood" });
    for (let count = 0; count < 2_500; count++) {
      audit.record("sign-in.failed", { account: `${count}@localhost` });
      passes(100);
      if (count % 100 === 0) await audit.settled();
    }
    const { entries } = await audit.list(undefined, 5_000);
    expect(entries.filter(({ kind }) => kind === "type.set")).toHaveLength(1);
    const failures = entries.filter(({ kind }) => kind === "sign-in.failed");
    expect(failures.map(({ account }) => account)).toEqual(
      Array.from({ length: 1_000 }, (_, index) => `${1_500 + index}@localhost`),
    );
    expect((await log.snapshot(["a.localhost.audit.>"])).facts).toHaveLength(1_001);
    expect(troubles).toEqual([]);
  });

  test("counts what comes too fast instead of writing it", async () => {
    const { open, passes } = opened();
    const audit = open();
    for (let count = 0; count < 500; count++) audit.record("sign-in.failed", {});
    await audit.settled();
    passes(1_000);
    audit.record("sign-in.failed", {});
    const { entries } = await audit.list(undefined, 5_000);
    expect(entries).toHaveLength(101);
    expect(entries.at(-1)).toMatchObject({ unrecorded: 400 });
  });

  test("takes so many at once and says so, rather than grow", async () => {
    const { troubles, open } = opened();
    const audit = open();
    for (let count = 0; count < 1_500; count++) audit.record("sign-in.failed", {});
    expect(troubles).toHaveLength(500);
    await audit.settled();
  });

  test("loses nothing when two brokers write at once, nor when one starts where another left off", async () => {
    const { troubles, open } = opened();
    const [one, other] = [open(), open()];
    for (let count = 0; count < 80; count++) {
      one.record("token.issued", { token: `one-${count}` });
      other.record("token.issued", { token: `other-${count}` });
    }
    await Promise.all([one.settled(), other.settled()]);
    const third = open();
    third.record("token.issued", { token: "third" });
    const { entries } = await third.list(undefined, 5_000);
    expect(new Set(entries.map(({ token }) => token)).size).toBe(161);
    expect(entries.at(-1)).toMatchObject({ token: "third" });
    expect(troubles).toEqual([]);
  });

  test("goes on where the log has forgotten what was there", async () => {
    const { log, troubles, open, passes } = opened();
    const audit = open();
    for (let count = 0; count < 1_000; count++) {
      audit.record("token.issued", { token: `${count}` });
      passes(100);
      if (count % 100 === 99) await audit.settled();
    }
    log.forget(Date.now() + 91 * 24 * 3600 * 1000);
    expect((await audit.list(undefined, 10)).entries).toEqual([]);
    passes(1_000);
    audit.record("token.issued", { token: "later" });
    expect((await audit.list(undefined, 10)).entries).toMatchObject([{ token: "later" }]);
    expect(troubles).toEqual([]);
  });
});

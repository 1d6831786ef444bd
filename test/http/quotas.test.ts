// Quotas by a clock of the test's own: what may be taken, what comes back, who is forgotten, who counts as one.
import { describe, expect, test } from "vitest";
import { makeAddress } from "../../services/core/address.ts";
import { Bucket, openBuckets } from "../../services/core/buckets.ts";
import { Refusal } from "../../services/core/refusal.ts";
import { clientOf, isLoopback } from "../../services/http/clients.ts";
import { openEnumeration } from "../../services/http/enumeration.ts";
import { openLookups } from "../../services/http/lookups.ts";
import { noQuotas, openQuotas, type Quotas, usualLimits } from "../../services/http/quotas.ts";

describe("a bucket", () => {
  test("gives its burst at once, and then what comes back", () => {
    const bucket = new Bucket({ burst: 10, perSecond: 2 });
    for (let n = 0; n < 10; n++) expect(bucket.take(1, 1_000)).toBe(0);
    expect(bucket.used(1_000)).toBe(1);
    expect(bucket.take(1, 1_000)).toBe(500);
    expect(bucket.take(1, 1_499)).toBe(1);
    expect(bucket.take(1, 1_500)).toBe(0);
    expect(bucket.take(1, 1_500)).toBe(500);
    expect(bucket.used(4_000)).toBe(0.5);
    expect(bucket.used(9_000)).toBe(0);
  });

  test("takes several only if there are so many", () => {
    const bucket = new Bucket({ burst: 10, perSecond: 1 });
    expect(bucket.take(8, 0)).toBe(0);
    expect(bucket.take(3, 0)).toBe(1_000);
    expect(bucket.take(2, 0)).toBe(0);
    bucket.giveBack(2);
    expect(bucket.used(0)).toBe(0.8);
  });

  test("is forgotten before others when it was idle longest", () => {
    const leftOf = (key: string): number => {
      const buckets = openBuckets({ burst: 1, perSecond: 0.001 }, 4);
      for (const one of ["a", "b", "a", "c", "a", "d", "e"]) buckets.of(one).take(1, 0);
      return buckets.of(key).used(0);
    };
    expect(["a", "b", "c", "d", "e"].map(leftOf)).toEqual([1, 0, 1, 1, 1]);
  });

  test("is found as fast when there are always new ones", () => {
    const buckets = openBuckets({ burst: 1, perSecond: 1 }, 50_000);
    const beganMs = performance.now();
    for (let n = 0; n < 200_000; n++) buckets.of(`key-${n}`);
    // Some 0.1 s; a Map that forgets its first key each time takes 10.
    expect(performance.now() - beganMs).toBeLessThan(2_000);
  });
});

test.each([
  ["203.0.113.7", "203.0.113.7"],
  ["::ffff:203.0.113.7", "203.0.113.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0db8:0001:0002::1", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  [undefined, ""],
])("%s is the client %s", (ip, client) => {
  expect(clientOf(ip)).toBe(client);
});

test("loopback is this machine alone", () => {
  for (const ip of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) expect(isLoopback(ip)).toBe(true);
  for (const ip of ["128.0.0.1", "10.127.0.1", "::2", "2001:db8::1"]) expect(isLoopback(ip)).toBe(false);
});

describe("passwords", () => {
  const far = "203.0.113.7";
  const alice = makeAddress("alice", "example.com");
  const wrong = async (): Promise<never> => {
    throw new Refusal("unauthenticated", "no");
  };
  const right = async (): Promise<string> => "a token";
  let nowMs = 0;

  function open(): Quotas {
    nowMs = 0;
    return openQuotas({ limits: usualLimits, now: () => nowMs, onRefused: () => undefined });
  }

  async function tries(quotas: Quotas, count: number, ip: string, local = "alice"): Promise<number> {
    let tried = 0;
    const target = makeAddress(local, "example.com");
    const all = Array.from({ length: count }, async () => {
      await quotas.signIn(ip, target, async () => {
        tried++;
        await wrong();
      });
    });
    await Promise.allSettled(all);
    return tried;
  }

  test.each(["127.0.0.1", far])("a hundred wrong ones are tried from %s, also all at once", async (ip) => {
    const quotas = open();
    expect(await tries(quotas, 150, ip)).toBe(100);
    await expect(quotas.signIn(ip, alice, right)).rejects.toMatchObject({
      code: "rate-limited",
      waitSeconds: 36,
    });
    // Who comes from elsewhere, or for somebody else, is not held up.
    expect(await quotas.signIn("198.51.100.1", alice, right)).toBe("a token");
    expect(await tries(quotas, 1, ip, "bob")).toBe(1);
    nowMs += 36_000;
    expect(await quotas.signIn(ip, alice, right)).toBe("a token");
  });

  test("right ones do not count, nor what failed for another reason", async () => {
    const quotas = open();
    const broken = async (): Promise<never> => {
      throw new Error("the store does not answer");
    };
    for (let n = 0; n < 500; n++) {
      expect(await quotas.signIn(far, alice, right)).toBe("a token");
      await expect(quotas.signIn(far, alice, broken)).rejects.toThrow("does not answer");
    }
    expect(await tries(quotas, 150, far)).toBe(100);
  });

  test("one client's are bounded over all accounts, one account's over all clients", async () => {
    const quotas = open();
    let tried = 0;
    for (let n = 0; n < 50; n++) tried += await tries(quotas, 10, far, `victim-${n}`);
    expect(tried).toBe(300);
    tried = 0;
    for (let n = 0; n < 200; n++) tried += await tries(quotas, 10, `198.51.100.${n}`);
    expect(tried).toBe(1_000);
  });
});

describe("wrong guesses at addresses", () => {
  const limit = { unknownMax: 3, windowMs: 1_000 };
  let nowMs = 0;
  const clock = (): number => nowMs;

  test("count once each, come back one by one, and end with a refusal for whatever is new", () => {
    nowMs = 0;
    const { admit, missed } = openEnumeration(limit, clock);
    const asks = (target: string): void => {
      admit("alice", target);
      missed("alice", target);
    };
    for (const target of ["a", "b", "a", "b", "a", "c"]) {
      nowMs += 100;
      asks(target);
    }
    expect(() => admit("alice", "d")).toThrow(
      expect.objectContaining({ code: "rate-limited", waitSeconds: 1 }),
    );
    for (const target of ["a", "b", "c"]) asks(target);
    admit("bob", "d");
    // The first was missed at 100.
    nowMs = 1_099;
    expect(() => admit("alice", "d")).toThrow(Refusal);
    nowMs = 1_100;
    asks("d");
    expect(() => admit("alice", "e")).toThrow(Refusal);
    expect(() => admit("alice", "a")).toThrow(Refusal);
    nowMs = 9_000;
    for (const target of ["e", "f", "g"]) asks(target);
    expect(() => admit("alice", "h")).toThrow(Refusal);
  });

  test("tell no more when many are on their way at once, whatever each finds", async () => {
    const lookups = openLookups({
      limit,
      quotas: noQuotas,
      now: () => 0,
      onRefused: () => undefined,
      standing: { ofAnybody: async () => "pending" },
    });
    const who = { caller: undefined, ip: "203.0.113.7" };
    const begin = Promise.withResolvers<void>();
    const codes: string[] = [];
    const reads = Array.from({ length: 10 }, async (_, n) => {
      const isThere = n > 5;
      const address = makeAddress(`somebody-${n}`, "example.com");
      const read = lookups.read(who, address, async () => {
        await begin.promise;
        if (!isThere) throw new Refusal("not-found", "no");
      });
      await read.then(
        () => codes.push("found"),
        ({ code }: Refusal) => codes.push(code),
      );
    });
    begin.resolve();
    await Promise.all(reads);
    expect(codes.toSorted()).toEqual([...Array(3).fill("not-found"), ...Array(7).fill("rate-limited")]);
  });

  test("are forgotten for whoever was idle longest, when there are too many in all", () => {
    nowMs = 0;
    const { admit, missed } = openEnumeration(limit, clock, 12);
    const fill = (caller: string): void => {
      for (const target of ["x", "y", "z"]) missed(caller, target);
    };
    const isFull = (caller: string): boolean => {
      try {
        admit(caller, "new");
        return false;
      } catch {
        return true;
      }
    };
    for (const caller of ["a", "b", "c", "a", "d", "e", "f"]) fill(caller);
    expect(["a", "b", "c", "d", "e", "f"].map(isFull)).toEqual([false, false, false, true, true, true]);
  });
});

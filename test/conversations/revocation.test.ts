// Revocation: whatever is open on a token ends within a second of the token.
import { describe, expect, test } from "vitest";
import { aWorld, type Data, openEventStream, type Person, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const withinMs = 1_000;

describe.each(stages)("revocation on the %s log", (stage) => {
  const world = aWorld(stage);
  const issues = async (
    who: Person,
    body: Data = {},
  ): Promise<{ id: string; other: Person; expires: string }> => {
    const issued = (await who.asks("POST", "/v1/tokens", { body })).body;
    return { id: issued.id, other: who.with(issued.token), expires: issued.expires };
  };
  const revokes = async (who: Person, id: string): Promise<void> =>
    expect((await who.asks("DELETE", `/v1/tokens/${id}`)).status).toBe(204);

  test("of its token ends a stream, and no stream of another token", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { id, other } = await issues(bob);
    const { stream } = await other.watches(alice);
    await bob.watches(alice);
    await revokes(bob, id);
    const revokedMs = performance.now();
    await stream.ended;
    expect(performance.now() - revokedMs).toBeLessThan(withinMs);
    await alice.sets("travel", oslo);
    await bob.hears("property.changed", { value: oslo });
    await bob.hearsNothing();
    expect(stream.waiting).toEqual([]);
    await expect(other.watches(alice)).rejects.toMatchObject({ status: 401, code: "unauthenticated" });
  });

  test("a token may end itself and its own stream", async () => {
    const bob = await world.registers("bob");
    const { id, other } = await issues(bob);
    const { stream } = await other.listens();
    await revokes(other, id);
    const revokedMs = performance.now();
    await stream.ended;
    expect(performance.now() - revokedMs).toBeLessThan(withinMs);
  });

  test("the end of the account ends all of its streams", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { other } = await issues(bob);
    const streams = [(await bob.watches(alice)).stream, (await other.watches(alice)).stream];
    expect((await bob.asks("DELETE", "/v1/me")).status).toBe(204);
    const endedMs = performance.now();
    await Promise.all(streams.map(({ ended }) => ended));
    expect(performance.now() - endedMs).toBeLessThan(withinMs);
  });

  test("a token that runs out ends its stream, on time", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { other, expires } = await issues(bob, { expiresIn: 1.5 });
    const { stream } = await other.watches(alice);
    await stream.ended;
    const lateMs = Date.now() - Date.parse(expires);
    expect(lateMs).toBeGreaterThanOrEqual(-20);
    expect(lateMs).toBeLessThan(withinMs);
    await expect(other.watches(alice)).rejects.toMatchObject({ status: 401 });
  });

  test("a stream that opens while its token ends is refused, or ends as well", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    for (let round = 0; round < 20; round++) {
      const { id, other } = await issues(bob);
      // Known by now, so that nothing is looked up when the stream opens.
      expect((await other.asks("GET", "/v1/me")).status).toBe(200);
      const opening = Array.from({ length: 6 }, () =>
        openEventStream(`${world.url}/v1/events?watch=${encodeURIComponent(alice.address)}`, {
          authorization: `Bearer ${other.token}`,
        }),
      );
      const [opened] = await Promise.all([Promise.allSettled(opening), revokes(bob, id)]);
      const revokedMs = performance.now();
      for (const one of opened) {
        if (one.status === "rejected") {
          expect(one.reason).toMatchObject({ status: 401 });
          continue;
        }
        const late = new Promise((resolve) => setTimeout(resolve, withinMs, "late"));
        const end = await Promise.race([one.value.ended, late]);
        await one.value[Symbol.asyncDispose]();
        expect(end, `${performance.now() - revokedMs} ms after round ${round}`).not.toBe("late");
      }
    }
  });
});

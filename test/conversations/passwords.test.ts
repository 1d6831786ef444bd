// Passwords: set, changed, and what a change ends.
import { describe, expect, test } from "vitest";
import { type Answer, aWorld, type Data, longStages, type Person } from "./world.ts";

const first = "correct horse battery";
const second = "staple the next horse";
const unauthenticated = { status: 401, body: { code: "unauthenticated" } };

describe.each(longStages)("passwords on the %s log", (stage) => {
  const world = aWorld(stage);
  const changes = async (who: Person, body: Data): Promise<Answer> =>
    await who.asks("PUT", "/v1/me/password", { body });
  const signsIn = async (who: Person, password: string): Promise<Answer> =>
    await world.stranger.asks("POST", "/v1/tokens", { body: { address: who.address, password } });
  const another = async (who: Person, body: Data = {}): Promise<Person> =>
    who.with((await who.asks("POST", "/v1/tokens", { body })).body.token);
  const me = async (who: Person): Promise<Answer> => await who.asks("GET", "/v1/me");

  test("who registered without one sets one", async () => {
    const alice = await world.registers("alice");
    expect(await changes(alice, { password: first })).toMatchObject({ status: 204, text: "" });
    expect((await signsIn(alice, first)).status).toBe(201);
  });

  test("whoever has one needs it to set another", async () => {
    const alice = await world.registers("alice", { password: first });
    const wrong = { status: 403, body: { code: "wrong-password" } };
    expect(await changes(alice, { password: second })).toMatchObject(wrong);
    expect(await changes(alice, { current: second, password: second })).toMatchObject(wrong);
    expect(await changes(alice, { current: "", password: second })).toMatchObject(wrong);
    expect((await signsIn(alice, first)).status).toBe(201);
    expect((await changes(alice, { current: first, password: second })).status).toBe(204);
    expect(await signsIn(alice, first)).toMatchObject(unauthenticated);
    expect((await signsIn(alice, second)).status).toBe(201);
  });

  test("a change ends all other tokens and their streams, and spares the one in use", async () => {
    const alice = await world.registers("alice", { password: first });
    const bob = await world.registers("bob");
    const phone = await another(alice);
    const laptop = alice.with((await signsIn(alice, first)).body.token);
    const streams = [(await phone.watches(bob)).stream, (await laptop.watches(bob)).stream];
    const { ticket } = (await phone.asks("POST", "/v1/tickets")).body;
    await alice.watches(bob);
    expect((await changes(alice, { current: first, password: second })).status).toBe(204);
    const changedMs = performance.now();
    await Promise.all(streams.map(({ ended }) => ended));
    expect(performance.now() - changedMs).toBeLessThan(1_000);
    for (const one of [phone, laptop]) expect(await me(one)).toMatchObject(unauthenticated);
    const opened = await world.stranger.asks("GET", `/v1/events?ticket=${ticket}`);
    expect(opened).toMatchObject(unauthenticated);
    expect((await me(alice)).status).toBe(200);
    expect((await alice.asks("GET", "/v1/tokens")).body.tokens).toHaveLength(1);
    await bob.sets("travel", { city: "Oslo" });
    await alice.hears("property.changed", { value: { city: "Oslo" } });
    // Spared once is not spared for ever.
    const other = await another(alice);
    expect((await changes(other, { current: second, password: first })).status).toBe(204);
    expect(await me(alice)).toMatchObject(unauthenticated);
    expect((await me(other)).status).toBe(200);
  });

  test("with keepTokens all of them stay", async () => {
    const alice = await world.registers("alice", { password: first });
    const phone = await another(alice);
    expect((await changes(alice, { current: first, password: second, keepTokens: true })).status).toBe(204);
    expect((await me(phone)).status).toBe(200);
    expect(await signsIn(alice, first)).toMatchObject(unauthenticated);
  });

  test("whoever signs in with the old one while it is changed has a token for no longer than that", async () => {
    const alice = await world.registers("alice", { password: first });
    let changed = false;
    const answers: Answer[] = [];
    const tries = async (): Promise<void> => {
      while (!changed) answers.push(await signsIn(alice, first));
    };
    const lanes = Array.from({ length: 6 }, tries);
    const change = await changes(alice, { current: first, password: second });
    changed = true;
    await Promise.all(lanes);
    expect(change.status).toBe(204);
    expect(answers.some(({ status }) => status === 201)).toBe(true);
    for (const { body, status } of answers) {
      if (status === 201) expect(await me(alice.with(body.token))).toMatchObject(unauthenticated);
    }
    expect((await alice.asks("GET", "/v1/tokens")).body.tokens).toHaveLength(1);
  });

  test("of two changes at once by the same password one is refused", async () => {
    const alice = await world.registers("alice", { password: first });
    const answers = await Promise.all([
      changes(alice, { current: first, password: "one of two passwords", keepTokens: true }),
      changes(alice, { current: first, password: "two of two passwords", keepTokens: true }),
    ]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([204, 403]);
  });

  test("it takes a token with the scope account, and 8 to 256 characters", async () => {
    const alice = await world.registers("alice");
    const phone = await another(alice, { scopes: ["read"] });
    const missing = { status: 403, body: { code: "scope-missing" } };
    expect(await changes(phone, { password: first })).toMatchObject(missing);
    expect(await changes(world.stranger, { password: first })).toMatchObject(unauthenticated);
    for (const password of ["7 chars", "x".repeat(257)]) {
      expect(await changes(alice, { password })).toMatchObject({
        status: 400,
        body: { code: "bad-request" },
      });
    }
    const longest = "😀".repeat(256);
    expect((await changes(alice, { password: longest })).status).toBe(204);
    expect((await signsIn(alice, longest)).status).toBe(201);
  });
});

// E-mail addresses: whose one is, shown by a code that was sent there.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../store/embedded.ts";
import { type Mailbox, openMailbox } from "./mailbox.ts";
import { type Answer, aWorld, type Data, longStages, type Person } from "./world.ts";

const wrong = { status: 403, body: { code: "wrong-code" } };
let addresses = 0;
const anAddress = (): string => `someone-${++addresses}@example.com`;
const me = async (who: Person): Promise<Data> => (await who.asks("GET", "/v1/me")).body;
const confirms = async (who: Person, code: string): Promise<Answer> =>
  await who.asks("POST", "/v1/me/email/confirm", { body: { code } });
const asksAgain = async (who: Person): Promise<Answer> => await who.asks("POST", "/v1/me/email/code");
const changes = async (who: Person, email: string): Promise<Answer> =>
  await who.asks("PUT", "/v1/me/email", { body: { email } });

describe.each(longStages)("e-mail addresses on the %s log, with a mail server", (stage) => {
  let box: Mailbox;
  beforeAll(async () => {
    box = await openMailbox();
  });
  afterAll(async () => await box[Symbol.asyncDispose]());
  const world = aWorld(stage, {
    settings: {
      get smtp() {
        return box.settings;
      },
    },
  });

  test("whoever registers with one is sent a code, which confirms it once", async () => {
    const email = anAddress();
    const alice = await world.registers("alice", { email });
    expect(await me(alice)).toMatchObject({ email, emailConfirmed: false });
    const code = await box.code(email);
    const [letter = ""] = box.letters(email);
    expect(letter).toContain("From: broker@example.com");
    expect(letter).toContain(`Subject: Your code for ${alice.address}`);
    expect((await confirms(alice, ` ${code.toLowerCase()} `)).status).toBe(204);
    expect(await me(alice)).toMatchObject({ email, emailConfirmed: true });
    expect(await confirms(alice, code)).toMatchObject(wrong);
    expect(await asksAgain(alice)).toMatchObject({ status: 409, body: { code: "nothing-to-confirm" } });
  });

  test("a code is good for its own account alone", async () => {
    const email = anAddress();
    const alice = await world.registers("alice", { email });
    const mallory = await world.registers("mallory", { email });
    const code = await box.code(email, 1);
    await box.code(email, 2);
    const codes = [code, await box.code(email, 2)];
    const [ofAlice, ofMallory] = box.letters(email)[0]?.includes(alice.address) ? codes : codes.toReversed();
    expect(await confirms(mallory, ofAlice as string)).toMatchObject(wrong);
    expect(await confirms(alice, ofMallory as string)).toMatchObject(wrong);
    expect((await confirms(alice, ofAlice as string)).status).toBe(204);
  });

  test("five wrong tries kill a code, and another one is sent for the asking", async () => {
    const email = anAddress();
    const alice = await world.registers("alice", { email });
    const code = await box.code(email);
    const tries = await Promise.all(Array.from({ length: 5 }, () => confirms(alice, "AAAA-AAAA")));
    for (const answer of tries) expect(answer).toMatchObject(wrong);
    expect(await confirms(alice, code)).toMatchObject(wrong);
    expect(await asksAgain(alice)).toMatchObject({ status: 202, text: "" });
    const second = await box.code(email, 2);
    expect(second).not.toBe(code);
    expect(await confirms(alice, code)).toMatchObject(wrong);
    expect((await confirms(alice, second)).status).toBe(204);
  });

  test("an account is sent five codes a day", async () => {
    const email = anAddress();
    const alice = await world.registers("alice", { email });
    await box.code(email);
    for (let number = 2; number <= 5; number++) {
      expect((await asksAgain(alice)).status).toBe(202);
      await box.code(email, number);
    }
    expect(await asksAgain(alice)).toMatchObject({ status: 429, body: { code: "rate-limited" } });
    expect((await changes(alice, anAddress())).status).toBe(429);
    expect(box.letters(email)).toHaveLength(5);
    expect(await me(alice)).toMatchObject({ email });
  });

  test("who named an address first keeps its owner from nothing", async () => {
    const email = anAddress();
    const squatter = await world.registers("mallory", { email });
    await box.code(email, 1);
    const owner = await world.registers("alice", { email });
    const code = await box.code(email, 2);
    const bob = await world.registers("bob");
    await owner.sets("travel", { city: "Oslo" });
    await squatter.sets("travel", { city: "Nowhere" });
    const { state } = await bob.subscribes({ target: `mailto:${email}` });
    expect(state).toBe("pending");
    await bob.listens();
    await bob.hearsNothing();
    expect((await confirms(owner, code)).status).toBe(204);
    await bob.hears("subscription.active");
    await bob.hears("property.changed", { node: owner.address, value: { city: "Oslo" } });
    await bob.hearsUpToNow();
    await squatter.sets("travel", { city: "Elsewhere" });
    await bob.hearsNothing();
    expect(await me(squatter)).toMatchObject({ email, emailConfirmed: false });
  });

  test("whoever reads the mail later takes the address over", async () => {
    const email = anAddress();
    const before = await world.registers("alice", { email });
    expect((await confirms(before, await box.code(email, 1))).status).toBe(204);
    const after = await world.registers("carol", { email });
    expect(await me(before)).toMatchObject({ emailConfirmed: true });
    expect((await confirms(after, await box.code(email, 2))).status).toBe(204);
    expect(await me(before)).toMatchObject({ email, emailConfirmed: false });
    expect(await me(after)).toMatchObject({ email, emailConfirmed: true });
  });

  test("another address is set, sent a code, and confirmed anew", async () => {
    const [first, second] = [anAddress(), anAddress()];
    const alice = await world.registers("alice", { email: first });
    const old = await box.code(first);
    expect((await confirms(alice, old)).status).toBe(204);
    expect((await changes(alice, second)).status).toBe(204);
    expect(await me(alice)).toMatchObject({ email: second, emailConfirmed: false });
    // The address that was given up is free.
    const bob = await world.registers("bob");
    expect((await bob.subscribes({ target: `mailto:${first}` })).state).toBe("pending");
    expect((await confirms(alice, await box.code(second))).status).toBe(204);
    expect(await me(alice)).toMatchObject({ email: second, emailConfirmed: true });
    expect((await bob.subscribes({ target: `mailto:${second}` })).state).toBe("active");
  });

  test("a code for an address that was replaced confirms nothing", async () => {
    const [first, second] = [anAddress(), anAddress()];
    const alice = await world.registers("alice", { email: first });
    const code = await box.code(first);
    expect((await changes(alice, second)).status).toBe(204);
    expect(await confirms(alice, code)).toMatchObject(wrong);
    expect(await me(alice)).toMatchObject({ email: second, emailConfirmed: false });
  });

  test("a letter that is refused for now is sent again; registering does not wait for it", async () => {
    box.refuses(1, 451);
    const email = anAddress();
    const { refused } = box;
    const alice = await world.registers("alice", { email });
    await until("the letter to be refused", () => box.refused === refused + 1);
    expect((await confirms(alice, await box.code(email))).status).toBe(204);
  });

  test("what is no address that mail goes to is refused, and a narrow token is neither told nor obeyed", async () => {
    const email = anAddress();
    const alice = await world.registers("alice", { email });
    for (const bad of [
      "alice",
      "a@b@c",
      "a b@example.com",
      "a,b@example.com",
      "<a@example.com",
      "a@-.",
      "",
    ]) {
      expect(await changes(alice, bad), bad).toMatchObject({ status: 400, body: { code: "bad-request" } });
    }
    const { token } = (await alice.asks("POST", "/v1/tokens", { body: { scopes: ["read"] } })).body;
    const phone = alice.with(token);
    expect(Object.keys(await me(phone))).toEqual(["address", "kind", "scopes"]);
    for (const answer of [await changes(phone, email), await asksAgain(phone), await confirms(phone, "x")]) {
      expect(answer).toMatchObject({ status: 403, body: { code: "scope-missing" } });
    }
    const bare = await world.registers("bare");
    expect(await asksAgain(bare)).toMatchObject({ status: 409 });
    expect(await confirms(bare, "AAAA-AAAA")).toMatchObject(wrong);
  });
});

describe.each(longStages)("e-mail addresses on the %s log, without a mail server", (stage) => {
  const world = aWorld(stage);

  test("count as they are given, and are never confirmed", async () => {
    const [first, second] = [anAddress(), anAddress()];
    const alice = await world.registers("alice", { email: first });
    const bob = await world.registers("bob");
    expect((await bob.subscribes({ target: `mailto:${first}` })).state).toBe("active");
    expect(await asksAgain(alice)).toMatchObject({ status: 409, body: { code: "nothing-to-confirm" } });
    expect((await changes(alice, second)).status).toBe(204);
    expect(await me(alice)).toMatchObject({ email: second, emailConfirmed: false });
    expect((await bob.subscribes({ target: `mailto:${second}` })).state).toBe("active");
    expect((await bob.subscribes({ target: `mailto:${first}` })).state).toBe("pending");
  });
});

// Accounts and tokens: who one is, how far a token reaches, and what remains when it is over.

import { describe, expect, test } from "vitest";
import type { Log } from "../../services/store/log.ts";
import { until } from "../store/embedded.ts";
import { type Answer, at, aWorld, type Data, nodePath, type Person, propertyPath, stages } from "./world.ts";

const oslo = { city: "Oslo" };
const unauthenticated = { status: 401, body: { code: "unauthenticated" } };

describe.each(stages)("accounts on the %s log", (stage) => {
  const world = aWorld(stage);
  const register = async (body: Data): Promise<Answer> =>
    await world.stranger.asks("POST", "/v1/accounts", { body });
  const give = async (who: Person, body: Data): Promise<Data> => {
    const answer = await who.asks("POST", "/v1/tokens", { body });
    expect(answer.status).toBe(201);
    return answer.body;
  };

  test("who registers with a handle has it as address, in lower case", async () => {
    const answer = await register({ handle: "Ada.Lovelace+1", displayName: "Ada", email: "ada@example.com" });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({ address: "ada.lovelace+1@localhost", token: expect.any(String) });
    expect(answer.headers.get("location")).toBe("/v1/nodes/ada.lovelace%2B1%40localhost");
    const ada = world.knows(answer.body.address, answer.body.token);
    const me = await ada.asks("GET", "/v1/me");
    expect(me.body).toEqual({
      address: "ada.lovelace+1@localhost",
      kind: "person",
      scopes: ["read", "write", "watch", "message", "account"],
      email: "ada@example.com",
      emailConfirmed: false,
    });
    // Its own node is there, and empty.
    expect(await ada.reads(ada)).toEqual({ address: ada.address, kind: "person", properties: {} });
  });

  test("who registers without a handle gets a number", async () => {
    const answers = await Promise.all([register({}), register({}), register({})]);
    for (const { status, body } of answers) {
      expect(status).toBe(201);
      expect(body.address).toMatch(/^\d{6,12}@localhost$/);
    }
    expect(new Set(answers.map(({ body }) => body.address)).size).toBe(3);
    const some = world.knows(answers[0]?.body.address, answers[0]?.body.token);
    await some.sets("travel", oslo);
  });

  test("a handle is given once, in whatever letters", async () => {
    expect((await register({ handle: "grace" })).status).toBe(201);
    for (const handle of ["grace", "GRACE", "Grace"]) {
      expect(await register({ handle })).toMatchObject({ status: 409, body: { code: "handle-taken" } });
    }
  });

  test("of twenty who want the same handle at once exactly one gets it", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => register({ handle: "wanted" })));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([201, ...Array(19).fill(409)]);
    const winner = answers[statuses.indexOf(201)]?.body;
    const owner = world.knows(winner?.address, winner?.token);
    await owner.sets("travel", oslo);
    expect((await owner.asks("GET", "/v1/tokens")).body.tokens).toHaveLength(1);
  });

  test("address and password give a token; anything else is refused in the same words", async () => {
    const alice = await world.registers("alice", { password: "correct horse battery" });
    const bare = await world.registers("bare");
    const signIn = async (address: string, password: string): Promise<Answer> =>
      await world.stranger.asks("POST", "/v1/tokens", { body: { address, password } });
    const good = await signIn(alice.address, "correct horse battery");
    expect(good.status).toBe(201);
    expect(good.body).toEqual({ id: expect.any(String), token: expect.any(String) });
    await alice.with(good.body.token).sets("travel", oslo);
    const refused = await Promise.all([
      signIn(alice.address, "correct horse batterz"),
      signIn(alice.address, ""),
      signIn(bare.address, "correct horse battery"),
      signIn("nobody-at-all@localhost", "correct horse battery"),
      signIn("alice@elsewhere.example", "correct horse battery"),
      signIn(`${alice.address}/bike`, "correct horse battery"),
    ]);
    expect(new Set(refused.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(refused[0]).toMatchObject(unauthenticated);
    expect(refused[0]?.headers.get("www-authenticate")).toMatch(/^Bearer/);
  });

  test("a token reaches as far as its scopes", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.sets("travel", oslo);
    await alice.patches({ set: { travel: { value: oslo }, "profile.name": { value: "A" } } });
    const { token } = await give(alice, {
      name: "phone",
      scopes: ["write:travel", "read:travel", "write:count.*"],
    });
    const phone = alice.with(token);
    const missing = { status: 403, code: "scope-missing" };
    await phone.sets("travel", { city: "Rome" });
    await phone.sets("count.a", 1);
    await expect(phone.sets("count", 1)).rejects.toMatchObject(missing);
    await expect(phone.sets("presence", { status: "online" })).rejects.toMatchObject({
      ...missing,
      problem: { detail: expect.stringContaining("write:presence") },
    });
    await expect(phone.removes("profile.name")).rejects.toMatchObject(missing);
    await expect(
      phone.patches({ set: { travel: { value: oslo } }, remove: ["profile.name"] }),
    ).rejects.toMatchObject(missing);
    await expect(phone.creates(`${alice.address}/bike`)).rejects.toMatchObject(missing);
    expect(await phone.sees(bob, "travel")).toEqual(oslo);
    expect(Object.keys((await phone.reads(alice)).properties)).toEqual(["travel"]);
    expect(await phone.asks("POST", "/v1/tokens", { body: {} })).toMatchObject({ status: 403 });
    expect(await phone.asks("DELETE", "/v1/me")).toMatchObject({
      status: 403,
      body: { code: "scope-missing" },
    });
    expect(await alice.sees(alice, "profile.name")).toBe("A");
  });

  test("nobody gives a token more than their own holds", async () => {
    const alice = await world.registers("alice");
    const { token } = await give(alice, { scopes: ["account", "write:travel", "read"] });
    const keeper = alice.with(token);
    for (const scope of ["write", "write:*", "write:presence", "watch", "message"]) {
      const answer = await keeper.asks("POST", "/v1/tokens", { body: { scopes: [scope] } });
      expect({ scope, ...answer.body }).toMatchObject({ scope, status: 403, code: "scope-missing" });
    }
    const same = await give(keeper, {});
    expect((await alice.with(same.token).asks("GET", "/v1/me")).body.scopes.toSorted()).toEqual([
      "account",
      "read",
      "write:travel",
    ]);
    await give(keeper, { scopes: ["read:presence", "write:travel"] });
  });

  test("a token ends at its time", async () => {
    const alice = await world.registers("alice");
    const { token, expires } = await give(alice, { expiresIn: 1 });
    const phone = alice.with(token);
    expect((await phone.asks("GET", "/v1/me")).status).toBe(200);
    await at(Date.parse(expires) + 2);
    expect(await phone.asks("GET", "/v1/me")).toMatchObject(unauthenticated);
    await expect(phone.sets("travel", oslo)).rejects.toMatchObject({ status: 401 });
    expect((await alice.asks("GET", "/v1/tokens")).body.tokens).toHaveLength(1);
  });

  test("tokens are listed without their secrets, and revoked at once", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const { id, token } = await give(alice, { name: "phone", scopes: ["read"], expiresIn: 3600 });
    const list = await alice.asks("GET", "/v1/tokens");
    expect(list.text).not.toContain(token);
    expect(list.text).not.toContain(token.split(".").at(-1));
    expect(list.body.tokens).toHaveLength(2);
    expect(list.body.tokens).toContainEqual({
      id,
      name: "phone",
      scopes: ["read"],
      created: expect.any(String),
      expires: expect.any(String),
    });
    expect(await bob.asks("DELETE", `/v1/tokens/${id}`)).toMatchObject({ status: 404 });
    expect((await alice.with(token).asks("GET", "/v1/me")).status).toBe(200);
    expect((await alice.asks("DELETE", `/v1/tokens/${id}`)).status).toBe(204);
    expect(await alice.with(token).asks("GET", "/v1/me")).toMatchObject(unauthenticated);
    expect(await alice.asks("DELETE", `/v1/tokens/${id}`)).toMatchObject({ status: 404 });
    expect((await alice.asks("GET", "/v1/me")).status).toBe(200);
  });

  test("an account that ends leaves nothing to be read, and its handle to nobody", async () => {
    const alice = await world.registers("alice", { password: "correct horse battery" });
    const bob = await world.registers("bob");
    const bike = `${alice.address}/bike`;
    await alice.creates(bike);
    await alice.sets("profile", { name: "Alice" });
    await alice.sets("travel", oslo, { lease: { seconds: 600, default: { city: "Bergen" } } });
    await alice.sets("count", 1, { at: bike });
    const { token } = await give(alice, {});
    await bob.watches(alice, undefined, { also: [bike] });
    expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);

    const heard = await bob.hearsUpToNow();
    expect(heard.map(({ event }) => `${event.type} ${event.subject}`).toSorted()).toEqual([
      "dev.tidings.property.removed count",
      "dev.tidings.property.removed profile",
      "dev.tidings.property.removed travel",
    ]);
    for (const key of [alice.token, token]) {
      expect(await alice.with(key).asks("GET", "/v1/me")).toMatchObject(unauthenticated);
      await expect(alice.with(key).sets("travel", oslo)).rejects.toMatchObject({ status: 401 });
    }
    for (const reader of [bob, world.stranger]) {
      for (const path of [
        nodePath(alice.address),
        nodePath(bike),
        propertyPath(alice.address, "profile"),
        `${nodePath(alice.address)}?depth=infinity`,
      ]) {
        expect((await reader.asks("GET", path)).status).toBe(404);
      }
    }
    expect((await bob.watches(alice)).snapshot).toEqual([]);
    const signIn = { body: { address: alice.address, password: "correct horse battery" } };
    expect(await world.stranger.asks("POST", "/v1/tokens", signIn)).toMatchObject(unauthenticated);
    const handle = alice.address.split("@")[0] as string;
    expect(await register({ handle })).toMatchObject({ status: 409, body: { code: "handle-taken" } });
    expect((await bob.asks("GET", nodePath(alice.address))).status).toBe(404);
  });

  test("what is hidden and what is not there are answered with the same bytes", async () => {
    const alice = await world.registers("alice");
    await alice.sets("contact", { phone: "1" });
    await alice.creates(`${alice.address}/diary`);
    await alice.sets("location", { lat: 1, lon: 2 }, { at: `${alice.address}/diary` });
    const bob = await world.registers("bob");
    const bare = ({ status, headers, text }: Answer): string => {
      const shown = [...headers].filter(([name]) => name !== "date" && name !== "tidings-request-id");
      return JSON.stringify({ status, headers: shown, text });
    };
    for (const reader of [bob, world.stranger]) {
      const ask = async (path: string): Promise<string> => bare(await reader.asks("GET", path));
      for (const query of ["", "?depth=1", "?depth=infinity", "?names=true", "?properties=contact"]) {
        const absent = await ask(nodePath("nobody-here@localhost") + query);
        expect(JSON.parse(absent).status).toBe(404);
        expect(await ask(nodePath(alice.address) + query)).toBe(absent);
        expect(await ask(nodePath(`${alice.address}/diary`) + query)).toBe(absent);
        expect(await ask(nodePath(`${alice.address}/nothing`) + query)).toBe(absent);
        expect(await ask(nodePath("alice@elsewhere.example") + query)).toBe(absent);
      }
      const absent = await ask(propertyPath("nobody-here@localhost", "contact"));
      expect(JSON.parse(absent).status).toBe(404);
      expect(await ask(propertyPath(alice.address, "contact"))).toBe(absent);
      expect(await ask(propertyPath(alice.address, "never-was"))).toBe(absent);
      expect(await ask(propertyPath(`${alice.address}/diary`, "location"))).toBe(absent);
    }
    const put = async (path: string): Promise<string> =>
      bare(await bob.asks("PUT", path, { body: { value: 1 } }));
    expect(await put(propertyPath(alice.address, "contact"))).toBe(
      await put(propertyPath("nobody-here@localhost", "contact")),
    );
  });

  test("an account's own node keeps its kind", async () => {
    const alice = await world.registers("alice");
    const put = (kind: string) => alice.asks("PUT", nodePath(alice.address), { body: { kind } });
    expect(await put("group")).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect((await put("person")).status).toBe(200);
  });

  test("the operator's token is for the operator's routes", async () => {
    const { operator } = world;
    expect(await operator.asks("GET", "/v1/me")).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect((await operator.asks("GET", "/v1/types")).status).toBe(200);
  });
});

describe("a node that is deleted while something is made under it", () => {
  const arrived = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  let late: PromiseWithResolvers<void> | undefined;
  let facts: Log | undefined;
  /** The same facts for a broker whose feed waits, and leaves out what was written over since. */
  const slow = (log = facts as Log): Log => ({
    ...log,
    async *feed(after, signal) {
      for await (const some of log.feed(after, signal)) {
        await late?.promise;
        const last = await Promise.all(some.map(({ subject }) => log.last(subject)));
        yield some.filter(({ position }, index) => last[index]?.position === position);
      }
    },
  });
  const through = (log: Log): Log => ({
    ...(facts ??= log),
    ...log,
    async append(facts) {
      if (facts.some(({ subject }) => subject.includes("bell.node."))) {
        arrived.resolve();
        await held.promise;
      }
      return await log.append(facts);
    },
  });
  const world = aWorld("memory", { through });

  test("takes it along", async () => {
    const alice = await world.registers("alice");
    const bike = `${alice.address}/bike`;
    await alice.creates(bike);
    const made = alice.asks("PUT", nodePath(`${bike}/bell`), { body: { kind: "thing" } });
    await arrived.promise;
    expect((await alice.asks("DELETE", nodePath(bike))).status).toBe(204);
    held.resolve();
    expect(await made).toMatchObject({ status: 409, body: { code: "no-parent" } });
    await alice.creates(bike);
    expect((await alice.asks("GET", nodePath(`${bike}/bell`))).status).toBe(404);
  });

  test.each(["for good", "and made anew"])(
    "takes along what a broker writes that has yet to hear of it, %s",
    async (how) => {
      const alice = await world.registers("alice");
      const there = (await world.neighbour({ facts: slow() })).with(alice.token);
      const boat = `${alice.address}/boat`;
      await alice.creates(boat);
      const put = async (name: string): Promise<number> =>
        (await there.asks("PUT", propertyPath(boat, name), { body: { value: how } })).status;
      expect(await put("speed")).toBe(201);
      late = Promise.withResolvers();
      expect((await alice.asks("DELETE", nodePath(boat))).status).toBe(204);
      expect(await put("course")).toBe(201);
      if (how === "and made anew") await alice.creates(boat);
      late.resolve();
      await until("it to go with its node", async () => (await alice.sees(boat, "course")) === undefined);
      await alice.creates(boat);
      expect((await alice.reads(boat)).properties).toEqual({});
      await until("the other one to know", async () => (await put("speed")) === 201);
      expect(await alice.sees(boat, "speed")).toBe(how);
    },
  );
});

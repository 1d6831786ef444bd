// OIDC: people whom an issuer vouches for, and tokens that only look as if it did.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ForgingIssuer, openForgingIssuer, openRealIssuer, type RealIssuer } from "./issuer.ts";
import { type Answer, aWorld, type Data, longStages, openEventStream, type Person } from "./world.ts";

const unauthenticated = { status: 401, body: { code: "unauthenticated" } };
const oslo = { city: "Oslo" };

describe.each(longStages)("a real issuer, on the %s log", (stage) => {
  let issuer: RealIssuer;
  beforeAll(async () => {
    issuer = await openRealIssuer(["ann", "ben", "Not A Handle", "short"]);
  });
  afterAll(async () => await issuer[Symbol.asyncDispose]());
  const world = aWorld(stage, {
    settings: {
      registration: "closed",
      get oidc() {
        return issuer.settings;
      },
    },
  });
  const comes = async (client: string, scope?: string): Promise<Person> => {
    const token = await issuer.token(client, scope);
    const { status, body } = await world.knows("", token).asks("GET", "/v1/me");
    expect(status).toBe(200);
    return world.knows(body.address, token);
  };

  test("whoever comes with its token has an account, called as it says, the same each time", async () => {
    const ann = await comes("ann");
    expect((await ann.asks("GET", "/v1/me")).body).toEqual({
      address: "ann@localhost",
      kind: "person",
      scopes: ["read", "write", "watch", "message", "account"],
    });
    await ann.sets("travel", oslo);
    const again = await comes("ann");
    expect(again.address).toBe(ann.address);
    expect(again.token).not.toBe(ann.token);
    expect(await again.sees(again, "travel")).toEqual(oslo);
    const ben = await comes("ben");
    await ben.watches(ann);
    await ann.sets("travel", { city: "Rome" });
    await ben.hears("property.changed", { value: { city: "Rome" }, by: ann.address });
  });

  test("its scopes are ours where it names any of ours", async () => {
    const reader = await comes("ann", "read billing");
    expect((await reader.asks("GET", "/v1/me")).body.scopes).toEqual(["read"]);
    await expect(reader.sets("travel", oslo)).rejects.toMatchObject({ status: 403, code: "scope-missing" });
    const other = await comes("ann", "billing");
    expect((await other.asks("GET", "/v1/me")).body.scopes).toHaveLength(5);
  });

  test("whose name is no handle gets a number", async () => {
    expect((await comes("Not A Handle")).address).toMatch(/^\d{9}@localhost$/);
  });

  test("its token asks for tickets and tokens, and sets no password", async () => {
    const ann = await comes("ann");
    const { ticket } = (await ann.asks("POST", "/v1/tickets")).body;
    await using stream = await openEventStream(`${world.url}/v1/events?ticket=${ticket}`);
    expect((await stream.next()).event.type).toBe("dev.tidings.stream.live");
    const { token } = (await ann.asks("POST", "/v1/tokens", { body: { scopes: ["write:travel"] } })).body;
    await ann.with(token).sets("travel", oslo);
    const password = { body: { password: "correct horse battery" } };
    expect(await ann.asks("PUT", "/v1/me/password", password)).toMatchObject({ status: 403 });
    const register = await world.stranger.asks("POST", "/v1/accounts", { body: { handle: "carl" } });
    expect(register).toMatchObject({ status: 403, body: { code: "registration-closed" } });
  });

  test("who has left does not come back by the next token", async () => {
    const ben = await comes("short");
    expect((await ben.asks("DELETE", "/v1/me")).status).toBe(204);
    expect(await ben.asks("GET", "/v1/me")).toMatchObject(unauthenticated);
    const later = world.knows("", await issuer.token("short"));
    expect(await later.asks("GET", "/v1/me")).toMatchObject(unauthenticated);
  });
});

describe.each(longStages)("tokens that somebody made, on the %s log", (stage) => {
  let issuer: ForgingIssuer;
  let aheadMs = 0;
  /** How long the store takes to begin with a write: so long do those who come at once not know of each other. */
  let lagMs = 0;
  beforeAll(async () => {
    issuer = await openForgingIssuer();
  });
  afterAll(async () => await issuer[Symbol.asyncDispose]());
  const world = aWorld(stage, {
    through: (log) => ({
      ...log,
      async append(facts) {
        if (lagMs > 0) await new Promise((resolve) => setTimeout(resolve, lagMs));
        return await log.append(facts);
      },
    }),
    settings: {
      now: () => Date.now() + aheadMs,
      get oidc() {
        return issuer.settings;
      },
    },
  });
  const sends = async (token: string): Promise<Answer> => await world.knows("", token).asks("GET", "/v1/me");
  const seconds = (): number => Math.floor((Date.now() + aheadMs) / 1000);
  const signs = async (claims: Data = {}, header: Data = {}): Promise<string> =>
    await issuer.sign({ iat: seconds(), exp: seconds() + 60, ...claims }, header);

  test("one that is good is", async () => {
    expect((await sends(await signs({ sub: "good", preferred_username: "Good.One" }))).body).toMatchObject({
      address: "good.one@localhost",
    });
    const several = await signs({
      sub: "good",
      aud: ["https://other.example.com", issuer.settings.audience],
    });
    expect((await sends(several)).status).toBe(200);
    expect((await sends(await signs({ sub: "good" }, { typ: "application/at+jwt" }))).status).toBe(200);
  });

  test("none of these is", async () => {
    const [head = "", body = "", signature = ""] = (await signs()).split(".");
    const changed = Buffer.from(body, "base64url").toString().replace("someone", "anybody");
    const bad: Record<string, string> = {
      "alg none": issuer.unsigned("none"),
      "alg None": issuer.unsigned("None"),
      "RS256 without a signature": issuer.unsigned("RS256"),
      "HS256 with the public key": await issuer.confuse(),
      "another key under the same name": await issuer.forge(),
      "another name": await signs({}, { kid: "key-99" }),
      "another algorithm of the same key": await signs({}, { alg: "PS256" }).catch(() =>
        issuer.unsigned("PS256"),
      ),
      "another audience": await signs({ aud: "https://other.example.com" }),
      "no audience": await signs({ aud: undefined }),
      "another issuer": await signs({ iss: "https://evil.example.com" }),
      "the issuer with a slash": await signs({ iss: `${issuer.settings.issuer}/` }),
      "no issuer": await signs({ iss: undefined }),
      expired: await signs({ exp: seconds() - 31 }),
      "no end": await signs({ exp: undefined }),
      "not yet": await signs({ nbf: seconds() + 40 }),
      "no subject": await signs({ sub: undefined }),
      "an empty subject": await signs({ sub: "" }),
      "an unknown crit": await signs({}, { crit: ["exotic"], exotic: 1 }),
      "an ID token": await signs({}, { typ: "JWT" }),
      "no type": await signs({}, { typ: undefined }),
      "a changed body": `${head}.${Buffer.from(changed).toString("base64url")}.${signature}`,
      "no signature": `${head}.${body}.`,
      "one part more": `${head}.${body}.${signature}.${signature}`,
      "no JSON": `${Buffer.from("{nonsense").toString("base64url")}.${body}.${signature}`,
    };
    for (const [name, token] of Object.entries(bad)) {
      const { status, body: problem } = await sends(token);
      expect({ name, status, code: problem.code }).toEqual({ name, status: 401, code: "unauthenticated" });
    }
    expect((await sends(await signs())).status).toBe(200);
  });

  test("clocks may differ by half a minute", async () => {
    expect((await sends(await signs({ exp: seconds() - 20 }))).status).toBe(200);
    expect((await sends(await signs({ nbf: seconds() + 20 }))).status).toBe(200);
  });

  test("somebody else of the same name gets neither the account nor the node", async () => {
    const first = await sends(await signs({ sub: "first", preferred_username: "samename" }));
    expect(first.body.address).toBe("samename@localhost");
    const token = await signs({ sub: "second", preferred_username: "samename" });
    const second = world.knows((await sends(token)).body.address, token);
    expect(second.address).toMatch(/^\d{9}@localhost$/);
    await expect(second.sets("travel", oslo, { at: "samename@localhost" })).rejects.toMatchObject({
      status: 403,
    });
    // A name that changes at the issuer changes nothing here.
    const renamed = await sends(await signs({ sub: "first", preferred_username: "othername" }));
    expect(renamed.body.address).toBe("samename@localhost");
    // Nor does a local account give way.
    const local = await world.registers("local");
    const handle = local.address.split("@")[0];
    const third = await sends(await signs({ sub: "third", preferred_username: handle }));
    expect(third.body.address).toMatch(/^\d{9}@localhost$/);
  });

  test("who comes twenty times at once for the first time gets one account", async () => {
    const token = await signs({ sub: "crowd" });
    const neighbour = await world.neighbour({ oidc: issuer.settings });
    lagMs = 50;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 ? neighbour.with(token) : world.knows("", token)).asks("GET", "/v1/me"),
      ),
    );
    lagMs = 0;
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(new Set(answers.map(({ body }) => body.address)).size).toBe(1);
  });

  test("a stream ends with its token", async () => {
    const token = await signs({ sub: "brief", preferred_username: "brief", exp: seconds() - 28 });
    const { address } = (await sends(token)).body;
    const { stream } = await world.knows(address, token).listens({ withoutBell: true });
    await stream.ended;
    expect(await sends(token)).toMatchObject(unauthenticated);
  });

  test("a new key is asked for once in half a minute, and the old one is forgotten", async () => {
    const old = await signs({ sub: "old" });
    expect((await sends(old)).status).toBe(200);
    aheadMs += 31_000;
    await issuer.rotates();
    const asked = issuer.asked;
    expect((await sends(await signs({ sub: "rotated" }))).status).toBe(200);
    for (let count = 0; count < 5; count++) await sends(await signs({}, { kid: `key-${100 + count}` }));
    expect(issuer.asked).toBe(asked + 1);
    expect(await sends(await issuer.forge({ sub: "old" }, { kid: "key-1" }))).toMatchObject(unauthenticated);
    // A key of another kind is not what the issuer began with.
    aheadMs += 31_000;
    await issuer.rotates("ES256");
    expect(await sends(await signs({ sub: "rotated" }))).toMatchObject(unauthenticated);
    expect(issuer.asked).toBe(asked + 2);
    aheadMs += 31_000;
    await issuer.rotates();
    expect((await sends(await signs({ sub: "rotated" }))).status).toBe(200);
  });

  test("an issuer that is away, or not itself, is no reason to let anybody in, or out of what was known", async () => {
    const known = await signs({ sub: "known" });
    expect((await sends(known)).status).toBe(200);
    issuer.says({ issuer: "https://evil.example.com" });
    const there = await world.neighbour({ oidc: issuer.settings });
    const token = await signs({ sub: "stranger" });
    expect(await there.with(token).asks("GET", "/v1/me")).toMatchObject({ status: 503 });
    expect(await there.with(issuer.unsigned("none")).asks("GET", "/v1/me")).toMatchObject(unauthenticated);
    aheadMs += 31_000;
    expect(await sends(await signs({}, { kid: "key-77" }))).toMatchObject(unauthenticated);
    expect((await sends(await signs({ sub: "known" }))).status).toBe(200);
    issuer.says({});
  });
});

describe("an issuer of the real program", () => {
  let issuer: ForgingIssuer;
  beforeAll(async () => {
    issuer = await openForgingIssuer();
  });
  afterAll(async () => await issuer[Symbol.asyncDispose]());
  const world = aWorld("process", {
    env: {
      get TIDINGS_OIDC_ISSUER() {
        return issuer.settings.issuer;
      },
      get TIDINGS_OIDC_AUDIENCE() {
        return issuer.settings.audience;
      },
      TIDINGS_OIDC_HANDLE_CLAIM: "nickname",
    },
  });

  test("vouches for people, also after a restart, and nobody else registers", async () => {
    const register = await world.stranger.asks("POST", "/v1/accounts", { body: {} });
    expect(register).toMatchObject({ status: 403, body: { code: "registration-closed" } });
    const me = async (nickname: string): Promise<unknown> => {
      const token = await issuer.sign({ sub: "someone", nickname });
      return (await world.knows("", token).asks("GET", "/v1/me")).body.address;
    };
    expect(await me("ann")).toBe("ann@localhost");
    await world.program.stop();
    await world.program.start();
    expect(await me("ben")).toBe("ann@localhost");
  });
});

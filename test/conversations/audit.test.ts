// The audit: what the operator can look up afterwards.
import { describe, expect, test } from "vitest";
import { openForgingIssuer } from "./issuer.ts";
import { type Answer, aWorld, type Data, longStages, type Person } from "./world.ts";

const password = "correct horse battery";

describe.each(longStages)("the audit on the %s log", (stage) => {
  const world = aWorld(stage);
  const reads = async (query = "", who: Person = world.operator): Promise<Answer> =>
    await who.asks("GET", `/v1/audit${query}`);
  /** Everything there is, page by page. */
  const all = async (limit = 1_000): Promise<Data[]> => {
    const entries: Data[] = [];
    let query = `?limit=${limit}`;
    for (;;) {
      const { status, body } = await reads(query);
      expect(status).toBe(200);
      expect(body.entries.length).toBeLessThanOrEqual(limit);
      entries.push(...body.entries);
      if (body.next === undefined) return entries;
      query = `?limit=${limit}&after=${body.next}`;
    }
  };
  const kinds = async (account: string): Promise<string[]> =>
    (await all()).filter((entry) => entry.account === account).map(({ kind }) => kind);
  const signsIn = async (address: string, secret: string): Promise<Answer> =>
    await world.stranger.asks("POST", "/v1/tokens", { body: { address, password: secret } });

  test("tells the life of an account, in order, and none of its secrets", async () => {
    const alice = await world.registers("alice", { password });
    const signed = (await signsIn(alice.address, password)).body;
    await signsIn(alice.address, "a guess at the password");
    await alice.asks("DELETE", `/v1/tokens/${signed.id}`);
    const body = { current: password, password: "another horse entirely" };
    expect((await alice.asks("PUT", "/v1/me/password", { body })).status).toBe(204);
    expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
    expect(await kinds(alice.address)).toEqual([
      "account.registered",
      "token.issued",
      "sign-in.failed",
      "token.revoked",
      "password.changed",
      "account.ended",
    ]);
    const { text } = await reads("?limit=1000");
    for (const secret of [password, "guess", "another horse", alice.token, signed.token.split(".")[2]]) {
      expect(text).not.toContain(secret);
    }
    const issued = (await all()).find(
      ({ kind, account }) => kind === "token.issued" && account === alice.address,
    );
    expect(issued).toEqual({
      id: expect.stringMatching(/^\d+$/),
      time: expect.any(String),
      kind: "token.issued",
      account: alice.address,
      token: signed.id,
    });
  });

  test("tells what the operator did", async () => {
    const { operator } = world;
    const { id } = (await operator.asks("POST", "/v1/invitations", { body: {} })).body;
    await operator.asks("PUT", "/v1/types/mood", { body: { schema: {} } });
    await operator.asks("DELETE", "/v1/types/mood");
    await operator.asks("DELETE", `/v1/invitations/${id}`);
    const told = (await all()).map(({ kind, invitation, type }) => [kind, invitation ?? type]);
    for (const entry of [
      ["invitation.made", id],
      ["type.set", "mood"],
      ["type.removed", "mood"],
      ["invitation.ended", id],
    ]) {
      expect(told).toContainEqual(entry);
    }
  });

  test("tells who came by invitation, and who by an issuer", async () => {
    await using issuer = await openForgingIssuer();
    const there = await world.neighbour({ registration: "invite", oidc: issuer.settings });
    const made = (await world.operator.asks("POST", "/v1/invitations", { body: {} })).body;
    const guest = (await there.asks("POST", "/v1/accounts", { body: { invitation: made.invitation } })).body;
    const ida = there.with(await issuer.sign({ sub: "ida", preferred_username: "ida" }));
    expect((await ida.asks("GET", "/v1/me")).status).toBe(200);
    const { entries } = (await there.with(world.adminToken).asks("GET", "/v1/audit?limit=1000")).body;
    expect(entries).toContainEqual(
      expect.objectContaining({ kind: "invitation.used", account: guest.address, invitation: made.id }),
    );
    expect(entries).toContainEqual(
      expect.objectContaining({ kind: "account.registered", account: "ida@localhost", via: "oidc" }),
    );
    expect((await reads("?limit=1000")).text).not.toContain(made.invitation.split(".")[1]);
  });

  test("is read page by page", async () => {
    for (let count = 0; count < 5; count++) await world.registers("many");
    const entries = await all();
    const paged = await all(3);
    expect(paged).toEqual(entries);
    const ids = entries.map(({ id }) => Number(id));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect((await reads(`?after=${ids.at(-1)}`)).body).toEqual({ entries: [] });
    for (const query of ["?limit=0", "?limit=1001", "?after=x", "?surprise=1"]) {
      expect((await reads(query)).status, query).toBe(400);
    }
  });

  test("is the operator's alone", async () => {
    const alice = await world.registers("alice");
    expect(await reads("", alice)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(await reads("", world.stranger)).toMatchObject({ status: 401 });
  });

  test("does not take down what a stranger typed for an address", async () => {
    await signsIn("correct-horse-battery@localhost", "x");
    await signsIn("nobody@elsewhere.example", "x");
    const failures = (await all()).filter(({ kind }) => kind === "sign-in.failed");
    expect(failures.length).toBeGreaterThanOrEqual(2);
    expect(JSON.stringify(failures)).not.toMatch(/correct-horse|elsewhere/);
  });
});

// Invitations: who may register where not everybody may.
import { describe, expect, test } from "vitest";
import { type Answer, at, aWorld, type Data, longStages, type Person } from "./world.ts";

const closed = { status: 403, body: { code: "registration-closed" } };

describe.each(longStages)("registration by invitation on the %s log", (stage) => {
  const world = aWorld(stage, { settings: { registration: "invite" } });
  let handles = 0;
  const invites = async (wish: Data = {}): Promise<Data> => {
    const answer = await world.operator.asks("POST", "/v1/invitations", { body: wish });
    expect(answer.status).toBe(201);
    return answer.body;
  };
  const registers = async (wish: Data, at: Person = world.stranger): Promise<Answer> =>
    await at.asks("POST", "/v1/accounts", { body: { handle: `guest-${++handles}`, ...wish } });
  const listed = async (id: string): Promise<Data | undefined> => {
    const { body } = await world.operator.asks("GET", "/v1/invitations");
    return body.invitations.find((one: Data) => one.id === id);
  };

  test("an invitation opens the door once", async () => {
    const { id, invitation, expires } = await invites();
    expect(Date.parse(expires) - Date.now()).toBeGreaterThan(6.9 * 86_400_000);
    expect(await registers({})).toMatchObject(closed);
    const { status, body } = await registers({ handle: "ann", invitation });
    expect(status).toBe(201);
    await world.knows(body.address, body.token).sets("travel", { city: "Oslo" });
    expect(await registers({ invitation })).toMatchObject(closed);
    expect(await listed(id)).toBeUndefined();
  });

  test("one for several counts down, and a handle that is taken costs nothing", async () => {
    const { id, invitation } = await invites({ uses: 2 });
    expect((await registers({ handle: "taken", invitation })).status).toBe(201);
    expect(await registers({ handle: "taken", invitation })).toMatchObject({
      body: { code: "handle-taken" },
    });
    expect(await listed(id)).toMatchObject({ uses: 1 });
    expect((await registers({ handle: undefined, invitation })).status).toBe(201);
    expect(await registers({ invitation })).toMatchObject(closed);
  });

  test("of many who race for its last use, at two brokers, one gets in", async () => {
    const neighbour = await world.neighbour({ registration: "invite" });
    for (let round = 0; round < 5; round++) {
      const { invitation } = await invites();
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, index) =>
          registers({ invitation }, index % 2 === 0 ? world.stranger : neighbour),
        ),
      );
      expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(11).fill(403)]);
    }
  });

  test("of one that is good for three, three use it at once", async () => {
    const { invitation } = await invites({ uses: 3 });
    const answers = await Promise.all(Array.from({ length: 9 }, () => registers({ invitation })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
  });

  test("wrong, ended, expired or none: all are refused in the same words", async () => {
    const good = await invites();
    const ended = await invites();
    const brief = await invites({ expiresIn: 1 });
    expect((await world.operator.asks("DELETE", `/v1/invitations/${ended.id}`)).status).toBe(204);
    expect((await world.operator.asks("DELETE", `/v1/invitations/${ended.id}`)).status).toBe(404);
    await at(Date.parse(brief.expires) + 2);
    const [id, secret] = good.invitation.split(".");
    const bad = [`${id}.${"A".repeat(32)}`, `${ended.id}.${secret}`, "*.>", "x", ended.invitation];
    const answers = [
      await registers({}),
      ...(await Promise.all([...bad, brief.invitation].map((invitation) => registers({ invitation })))),
      await registers({ handle: "ann", invitation: "x" }),
    ];
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]).toMatchObject(closed);
    expect((await registers({ invitation: good.invitation })).status).toBe(201);
  });

  test("they are the operator's, listed without their secrets", async () => {
    const { id, invitation } = await invites({ uses: 5, expiresIn: 60 });
    const list = await world.operator.asks("GET", "/v1/invitations");
    expect(list.text).not.toContain(invitation.split(".")[1]);
    expect(await listed(id)).toEqual({
      id,
      created: expect.any(String),
      expires: expect.any(String),
      uses: 5,
    });
    const { body } = await registers({ invitation });
    const guest = world.knows(body.address, body.token);
    for (const [who, status] of [
      [guest, 403],
      [world.stranger, 401],
    ] as const) {
      expect((await who.asks("POST", "/v1/invitations", { body: {} })).status).toBe(status);
      expect((await who.asks("GET", "/v1/invitations")).status).toBe(status);
      expect((await who.asks("DELETE", `/v1/invitations/${id}`)).status).toBe(status);
    }
    for (const wish of [{ uses: 0 }, { uses: 1.5 }, { expiresIn: 0 }, { expiresIn: 1e9 }]) {
      const { status } = await world.operator.asks("POST", "/v1/invitations", { body: wish });
      expect(status).toBe(400);
    }
  });

  test("where registration is open none is needed nor used up; where it is closed none helps", async () => {
    const { id, invitation } = await invites();
    const open = await world.neighbour({ registration: "open" });
    expect((await registers({ invitation }, open)).status).toBe(201);
    expect(await listed(id)).toMatchObject({ uses: 1 });
    const shut = await world.neighbour({ registration: "closed" });
    expect(await registers({ invitation }, shut)).toMatchObject(closed);
  });
});

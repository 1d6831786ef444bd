// Leaving: the end of an account ends everything it held, also when the broker dies on the way.
import { describe, expect, test } from "vitest";
import { type Log, LogUnavailable } from "../../services/store/log.ts";
import { until } from "../store/embedded.ts";
import { aWorld, type Data, longStages, nodePath, type Person } from "./world.ts";

const schema = { type: "object" };

describe.each(longStages)("leaving on the %s log", (stage) => {
  const logs: Log[] = [];
  /** How many more appends the store takes; all others fail, as they would for a broker that was killed. */
  let left = Number.POSITIVE_INFINITY;
  const through = (log: Log): Log => {
    logs.push(log);
    return {
      ...log,
      async append(facts) {
        if (left-- <= 0) throw new LogUnavailable("the broker is dead");
        return await log.append(facts);
      },
    };
  };
  // Nobody takes letters there; the codes are made all the same.
  const smtp = { url: "smtp://127.0.0.1:9", from: "broker@example.com" };
  const world = aWorld(stage, { through, settings: { smtp } });

  /** Somebody who holds one of everything that an account can hold. */
  async function settled(wish: Data = {}): Promise<Person> {
    const alice = await world.registers("alice", { displayName: "Alice", ...wish });
    const bike = `${alice.address}/bike`;
    await alice.creates(bike);
    await alice.creates(`${bike}/bell`);
    await alice.sets("travel", { city: "Oslo" }, { lease: { seconds: 600, default: { city: "Rome" } } });
    await alice.sets("count", 1, { at: bike });
    await alice.sets("count", 2, { at: `${bike}/bell` });
    await alice.sets("count", 3, { key: "once" });
    const own = `/v1/nodes/${encodeURIComponent(alice.address)}/types/count`;
    expect((await alice.asks("PUT", own, { body: { schema } })).status).toBe(201);
    const rules = [{ who: ["anyone"], properties: ["profile"], allow: ["read"] }];
    const policy = { body: { rules } };
    expect((await alice.asks("PUT", `${nodePath(alice.address)}/policy`, policy)).status).toBe(200);
    await alice.blocks("@example.com");
    await alice.subscribes({ target: "bob@localhost" });
    await alice.asks("POST", "/v1/tokens", { body: {} });
    expect((await alice.asks("POST", "/v1/tickets")).status).toBe(201);
    return alice;
  }

  /** What the store still holds of an account: subjects without the part that they share. */
  async function remains({ address }: Person): Promise<string[]> {
    const local = address.split("@")[0] as string;
    const [facts, secrets] = logs as [Log, Log];
    const mine = await facts.snapshot([`t.localhost.${local}.>`]);
    const known = await secrets.snapshot(["a.localhost.>"]);
    const isOver = (body: string): boolean => body === "{}" || body.startsWith('{"why":"deleted"');
    return [
      ...mine.facts.filter(({ subject, body }) => !subject.includes(".once.") && !isOver(body)),
      ...known.facts.filter(({ subject, body }) => {
        // Tickets are named by their hash and gone within seconds; the operator's record is no part of the account.
        if (subject.includes(".ticket.") || subject.includes(".audit.")) return false;
        return (subject.includes(`.${local}`) || body.includes(local)) && !isOver(body);
      }),
    ].map(({ subject, body }) => `${subject.replace(local, "alice")} ${body.replace(/\d+/, "0")}`);
  }

  const nothingButTheHandle = ['a.localhost.account.alice {"createdMs":0,"kind":"person","ended":true}'];

  test("ends nodes, properties, types, subscriptions, tokens and the e-mail address", async () => {
    const alice = await settled({ password: "correct horse battery", email: "alice@example.com" });
    await until("her code", async () => (await remains(alice)).some((one) => one.includes(".code.")));
    expect((await remains(alice)).length).toBeGreaterThan(14);
    expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
    expect(await remains(alice)).toEqual(nothingButTheHandle);
    expect((await alice.asks("GET", "/v1/me")).status).toBe(401);
    const handle = alice.address.split("@")[0] as string;
    const again = await world.stranger.asks("POST", "/v1/accounts", { body: { handle } });
    expect(again).toMatchObject({ status: 409, body: { code: "handle-taken" } });
  });

  test("goes on at the next start, wherever the broker died", async () => {
    let cuts = 0;
    for (let status = 0; status !== 204; cuts++) {
      const alice = await settled();
      left = cuts;
      ({ status } = await alice.asks("DELETE", "/v1/me"));
      left = Number.POSITIVE_INFINITY;
      if (status === 204) break;
      expect(status).toBe(503);
      if (cuts === 0) {
        // Nothing was written: she is as she was, and may try again.
        expect((await alice.asks("GET", "/v1/me")).status).toBe(200);
        expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
      } else {
        expect((await alice.asks("GET", "/v1/me")).status).toBe(401);
        expect((await remains(alice)).length).toBeGreaterThan(1);
        await world.neighbour();
      }
      await until("nothing to be left", async () => (await remains(alice)).length === 1);
      expect(await remains(alice)).toEqual(nothingButTheHandle);
    }
    // The account, its tokens, its nodes, and the note that all is done.
    expect(cuts).toBeGreaterThanOrEqual(4);
  });

  test("a blocked watcher hears nothing of it, although the block ends with the rest", async () => {
    const alice = await settled();
    const bob = await world.registers("bob");
    await alice.sets("for-sale", { item: "bike" });
    await bob.watches(alice);
    await alice.blocks(bob);
    await bob.hearsUpToNow();
    expect((await alice.asks("DELETE", "/v1/me")).status).toBe(204);
    await bob.hearsNothing();
  });

  test("of two who leave by the same account at once both find it over", async () => {
    const alice = await settled();
    const answers = await Promise.all([alice.asks("DELETE", "/v1/me"), alice.asks("DELETE", "/v1/me")]);
    for (const { status } of answers) expect([204, 401]).toContain(status);
    expect(await remains(alice)).toEqual(nothingButTheHandle);
  });
});

describe("leaving the real program", () => {
  const world = aWorld("process");

  test("is done after a kill in the middle of it", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const children = Array.from({ length: 8 }, (_, index) => `${alice.address}/child-${index}`);
    for (const child of children) {
      await alice.creates(child);
      const set: Record<string, { value: unknown }> = {};
      for (let name = 0; name < 200; name++) set[`count.${name}`] = { value: name };
      await alice.patches({ set }, { at: child });
    }
    const leaving = alice.asks("DELETE", "/v1/me").catch(() => undefined);
    await until("the account to end", async () => (await alice.asks("GET", "/v1/me")).status === 401);
    await world.program.kill();
    await leaving;
    await world.program.start();
    const gone = async (node: string): Promise<boolean> => {
      const { status } = await bob.asks("GET", `/v1/nodes/${encodeURIComponent(node)}`);
      return status === 404;
    };
    for (const node of [alice.address, ...children]) await until(`${node} to be gone`, () => gone(node));
    const { body } = await bob.asks("POST", "/v1/subscriptions", { body: { target: alice.address } });
    expect(body.state satisfies Data[string]).toBe("pending");
  });
});

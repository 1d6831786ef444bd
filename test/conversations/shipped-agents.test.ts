// The agents that ship, as the broker runs them: each does for its owner what it says, with what others really do.
import { describe, expect, it } from "vitest";
import { until } from "../store/embedded.ts";
import { openEndpoint } from "./endpoint.ts";
import { openMailbox } from "./mailbox.ts";
import { aWorld, isFull, nodePath, type Person, stages } from "./world.ts";

/** What an agent does depends on its host, which agents.test.ts tries on both: here one log is enough for every day. */
const here = isFull ? stages : (["memory"] as const);

describe.each(here)("shipped agents on the %s log", (stage) => {
  const world = aWorld(stage, { settings: { webhookAllowPrivate: true } });

  async function two(): Promise<[Person, Person]> {
    return [await world.registers("alice"), await world.registers("bob")];
  }

  it("travel-buddy tells both who will be in the same city", async () => {
    const [alice, bob] = await two();
    await meets(alice, bob);
    const agent = await runs(alice, "travel-buddy", {});
    const soon = new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10);
    await alice.sets("travel", { city: "Oslo", until: soon });
    await bob.sets("travel", { city: "oslo", until: soon });
    expect(await letter(alice, agent.node)).toContain(`${bob.address} will be in oslo too`);
    expect(await letter(bob, agent.node)).toContain(`${alice.address} will be in Oslo too`);
  });

  it("marketplace introduces who offers and who looks, in its own name, and not who may not see it", async () => {
    const [alice, bob] = await two();
    const [carol, keeper] = [await world.registers("carol"), await world.registers("market")];
    await alice.asks("PUT", `${nodePath(alice.address)}/policy`, {
      body: { rules: [{ who: [keeper.address, bob.address], properties: ["*"], allow: ["read", "watch"] }] },
    });
    // Of Carol's offer the market may know nothing.
    await carol.blocks(keeper);
    const item = `bike-${stage}`;
    const agent = await runs(keeper, "marketplace", {});
    await carol.sets("for-sale", { item, price: 10, currency: "EUR" });
    await alice.sets("for-sale", { item, price: 100, currency: "EUR" });
    await bob.sets("looking-for", { item, priceMax: 200, currency: "EUR" });
    expect(await letter(bob, agent.node)).toContain(`see ${alice.address}`);
    expect((await bob.asks("GET", "/v1/messages")).body.messages).toHaveLength(1);
    const { body } = await alice.asks("GET", `${nodePath(alice.address)}/watchers`);
    expect((body.watchers as { watcher: string }[]).map(({ watcher }) => watcher)).toContain(agent.node);
  });

  it("presence-keeper merges devices, and turns one to away that has been idle for long", async () => {
    const alice = await world.registers("alice");
    await runs(alice, "presence-keeper", { idleMinutes: 1 });
    await alice.sets("presence", { status: "busy", device: "desk" }, { view: "desk" });
    await merged({ status: "busy", devices: ["desk"] });
    await alice.sets("presence", { status: "idle", device: "phone", idleSeconds: 60 }, { view: "phone" });
    await until("the phone to be away", async () => {
      const seen = (await alice.sees(alice, "presence")) as { device?: string; status?: string } | undefined;
      return seen?.device === "phone" && seen.status === "away";
    });
    await merged({ status: "busy", devices: ["desk", "phone"] });

    async function merged(wanted: object): Promise<void> {
      await until("the devices to be merged", async () => {
        return JSON.stringify(await alice.sees(alice, "presence.merged")) === JSON.stringify(wanted);
      });
    }
  });

  it("digest keeps account of who wanted to know", async () => {
    const [alice, bob] = await two();
    const agent = await runs(alice, "digest", { at: "07:00" });
    await alice.sets("travel", { city: "Oslo" });
    await bob.sees(alice, "travel");
    await until("it to have taken note", async () => {
      const { state } = (await alice.asks("GET", `/v1/agents/${agent.id}/state`)).body;
      return state?.seen?.[bob.address]?.properties.includes("travel");
    });
  });

  it("mailer sends a letter for a message", async () => {
    const [alice, bob] = await two();
    await using mailbox = await openMailbox();
    const to = `${alice.address.split("@")[0]}@example.org`;
    await runs(alice, "mailer", { smtp: mailbox.settings.url, from: "tidings@example.org", to });
    await sends(bob, alice, "Coffee?");
    await until("the letter", () => mailbox.letters(to).length === 1);
    expect(mailbox.letters(to)[0]).toContain("Coffee?");
  });

  it("bridge posts each change to a webhook, in order, and the owner's alone", async () => {
    const [alice, bob] = await two();
    await using endpoint = await openEndpoint();
    const values: unknown[] = [];
    endpoint.answer = (response) => void response.writeHead(204).end();
    await runs(alice, "bridge", { url: endpoint.url, names: ["travel"], token: "of the other side" });
    for (const city of ["Oslo", "Rome"]) {
      await alice.sets("travel", { city });
      await alice.sets("profile", { name: "Alice" });
      await bob.sets("travel", { city });
      await until("the other side to be told", () => {
        values.splice(0, values.length, ...endpoint.received.flatMap(({ events }) => events));
        return JSON.stringify(values.at(-1)).includes(city);
      });
    }
    expect(values).toEqual(
      ["Oslo", "Rome"].map((city) =>
        expect.objectContaining({ node: alice.address, name: "travel", value: { city } }),
      ),
    );
    for (const { headers } of endpoint.received) {
      expect(headers.authorization).toBe("Bearer of the other side");
      expect(headers["idempotency-key"]).toBeTruthy();
    }
  });
});

/** Enters somebody into the roster, so that they are a contact. */
async function meets(who: Person, whom: Person): Promise<void> {
  const body = { contacts: [{ address: whom.address }] };
  const { status } = await who.asks("PUT", "/v1/me/roster", { body });
  expect([200, 201]).toContain(status);
}

async function sends(from: Person, to: Person, content: string): Promise<void> {
  const path = `${nodePath(to.address)}/messages`;
  expect((await from.asks("POST", path, { body: { contentType: "text/plain", content } })).status).toBe(202);
}

/** The first message from this agent. */
async function letter(who: Person, from: string): Promise<string> {
  let content = "";
  await until(`a message to ${who.address}`, async () => {
    const { messages } = (await who.asks("GET", "/v1/messages")).body;
    content =
      (messages as { from: string; content: string }[]).find((one) => one.from === from)?.content ?? "";
    return content !== "";
  });
  return content;
}

async function runs(who: Person, agent: string, config: object): Promise<{ id: string; node: string }> {
  const { status, body } = await who.asks("POST", "/v1/agents", { body: { agent, config } });
  expect([status, body]).toEqual([201, expect.objectContaining({ state: "running" })]);
  return body as { id: string; node: string };
}

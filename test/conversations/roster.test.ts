// The roster: all contacts in one call, watched as one, exported and imported as JSON and vCards.
import { describe, expect, test } from "vitest";
import { usualLimits } from "../../services/http/quotas.ts";
import { openSocket } from "./socket.ts";
import {
  type Answer,
  aWorld,
  type Data,
  type Heard,
  longStages,
  type Person,
  propertyPath,
  Refused,
} from "./world.ts";

const path = "/v1/me/roster";
const oslo = { city: "Oslo" };
const rome = { city: "Rome" };
const cards = { "content-type": "text/vcard" };
const card = (...lines: string[]): string =>
  ["BEGIN:VCARD", "VERSION:4.0", ...lines, "END:VCARD", ""].join("\r\n");
/** What a stream told, the bell's strokes aside. */
const told = (heard: readonly Heard[]): string[] =>
  heard
    .filter(({ event }) => !event.source.startsWith("/nodes/bell@"))
    .map(({ event: { source, subject, data } }) => `${source.slice(7)} ${subject} ${data.reason}`)
    .toSorted();

async function done(asking: Promise<Answer>): Promise<Answer> {
  const answer = await asking;
  if (answer.status >= 300) throw new Refused("a request", answer);
  return answer;
}
const reads = async (who: Person, query = ""): Promise<Data> =>
  (await done(who.asks("GET", `${path}${query}`))).body;
const keeps = async (who: Person, ...contacts: (Data | Person)[]): Promise<Answer> =>
  await done(who.asks("PUT", path, { body: { contacts: contacts.map(contactOf) } }));
const adds = async (who: Person, ...contacts: (Data | Person)[]): Promise<Answer> =>
  await done(who.asks("POST", path, { body: { contacts: contacts.map(contactOf) } }));
const contactOf = (one: Data | Person): Data => ("asks" in one ? { address: one.address } : one);

describe.each(longStages)("the roster on the %s log", (stage) => {
  const world = aWorld(stage);

  test("names contacts with petnames and groups, and shows what each shows", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await bob.patches({
      set: { presence: { value: { status: "away" } }, contact: { value: { phone: "1" } } },
    });
    await carol.sets("travel", oslo);
    const known = {
      address: bob.address,
      name: "Bobby",
      groups: ["Friends", "Chess"],
      note: "Owes me a book",
    };
    const kept = await keeps(alice, known, carol);
    expect(kept).toMatchObject({ status: 201, body: { size: 2 } });
    const { contacts, revision, cursor } = await reads(alice);
    expect(contacts).toEqual([
      { ...known, properties: { presence: await alice.gets(bob, "presence") } },
      { address: carol.address, properties: { travel: await alice.gets(carol, "travel") } },
    ]);
    expect(kept.headers.get("etag")).toBe(`"${revision}"`);
    expect(cursor).toMatch(/./);
    // It is the property `contacts`, which says who counts as a contact.
    expect(await alice.sees(alice, "contacts")).toEqual({
      members: [bob.address, carol.address],
      people: { [bob.address]: { name: "Bobby", groups: ["Friends", "Chess"], note: "Owes me a book" } },
    });
    expect(await bob.sees(alice, "contacts")).toBeUndefined();
  });

  test("is empty where there is none, and is read from a bare list of members too", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const none = await done(alice.asks("GET", path));
    expect(none.body).toEqual({ contacts: [], cursor: expect.any(String) });
    expect((await done(alice.asks("GET", `${path}?bare=true`))).body).toEqual({ contacts: [] });
    await alice.sets("contacts", { members: [bob.address.toUpperCase(), "@example.net"] });
    expect((await reads(alice, "?bare=true")).contacts).toEqual([
      { address: bob.address },
      { address: "@example.net" },
    ]);
    expect((await reads(alice)).contacts[1]).toEqual({ address: "@example.net", properties: {} });
  });

  test("shows of each what is asked for", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.patches({ set: { presence: { value: {} }, activity: { value: {} }, travel: { value: oslo } } });
    await keeps(alice, bob);
    const names = async (query: string): Promise<string[]> =>
      Object.keys((await reads(alice, query)).contacts[0].properties).toSorted();
    expect(await names("?properties=presence,activity")).toEqual(["activity", "presence"]);
    expect(await names("?properties=tra.*")).toEqual([]);
    expect(await names("")).toEqual(["activity", "presence", "travel"]);
    expect((await alice.asks("GET", `${path}?properties=**`)).body.code).toBe("bad-name");
    expect((await alice.asks("GET", `${path}?propertys=travel`)).body.code).toBe("bad-request");
  });

  test("a contact that hides, that is not there and that has blocked look the same", async () => {
    const alice = await world.registers("alice");
    const [hiding, polite, hard, asking] = await Promise.all(
      ["hiding", "polite", "hard", "asking"].map((name) => world.registers(name)),
    );
    for (const one of [hiding, polite, hard, asking]) await one?.sets("travel", oslo);
    await hiding?.grants();
    await polite?.blocks(alice);
    await hard?.blocks(alice, "hard");
    await asking?.grants({ who: ["anyone"], properties: ["travel"], allow: ["read"], reveal: ["profile"] });
    const nobody = { address: `nobody@localhost` };
    const abroad = { address: "bob@elsewhere.example" };
    await keeps(alice, ...([hiding, polite, hard, asking] as Person[]), nobody, abroad);
    for (const { address, ...shown } of (await reads(alice)).contacts) {
      expect({ address, shown }).toEqual({ address, shown: { properties: {} } });
    }
    await alice.sets("profile", { name: "Alice" });
    const [, , , told] = (await reads(alice, "?reveal=profile")).contacts;
    expect(told.properties.travel.value).toEqual(oslo);
  });

  test("whoever is on it is told that it was read", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.sets("travel", oslo);
    await keeps(alice, bob);
    await bob.listens();
    await reads(alice, "?properties=travel");
    await bob.hears("watcher.fetched", { watcher: alice.address, properties: ["travel"], via: "rest" });
    await reads(alice, "?bare=true");
    await alice.asks("GET", path, { headers: { accept: "text/vcard" } });
    await bob.hearsNothing();
  });

  test("its cursor leads on to a stream without a gap", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.sets("travel", oslo);
    await keeps(alice, bob);
    // The feed has come this far, so that the cursor may lie behind it.
    await alice.watches(alice);
    await alice.hearsUpToNow();
    const { contacts, cursor } = await reads(alice);
    expect(contacts[0].properties.travel.value).toEqual(oslo);
    await bob.sets("travel", rome);
    const { snapshot } = await alice.watches("roster", "travel", { after: cursor });
    expect(told(snapshot)).toEqual([`${bob.address} travel set`]);
    expect(snapshot.find(({ event }) => event.data.value?.city)?.event.data.value).toEqual(rome);
  });

  test("what changes while it is read is in it, or comes after its cursor", async () => {
    const alice = await world.registers("alice");
    const people = await Promise.all(
      Array.from({ length: 12 }, (_, index) => world.registers(`friend${index}`)),
    );
    await keeps(alice, ...people);
    for (let round = 1; round <= 8; round++) {
      const setting = people.map((one) => one.sets("travel", { city: `Oslo ${round}` }));
      const { contacts, cursor } = await reads(alice, "?properties=travel");
      const known = new Map<string, unknown>();
      for (const { address, properties } of contacts) known.set(address, properties.travel?.value);
      await Promise.all(setting);
      const { snapshot } = await alice.watches("roster", "travel", { after: cursor });
      for (const { event } of snapshot)
        if (event.subject === "travel") known.set(event.data.node, event.data.value);
      const cities = people.map(({ address }) => known.get(address));
      expect(cities).toEqual(people.map(() => ({ city: `Oslo ${round}` })));
    }
  });

  test("is watched as one: what all show now, then what they change", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await bob.patches({ set: { travel: { value: oslo }, presence: { value: {} } } });
    await carol.sets("presence", { status: "away" });
    await keeps(alice, bob, carol, { address: "@localhost" }, { address: "nobody@localhost" });
    await bob.listens();
    const { snapshot } = await alice.watches("roster");
    expect(told(snapshot)).toEqual([
      `${bob.address} presence snapshot`,
      `${bob.address} travel snapshot`,
      `${carol.address} presence snapshot`,
    ]);
    await bob.hears("watcher.started", { watcher: alice.address, properties: ["*"], via: "sse" });
    await carol.sets("presence", { status: "online" });
    await alice.hears("property.changed", { node: carol.address, name: "presence", reason: "set" });
    const named = await alice.watches("roster", "presence,activity");
    expect(told(named.snapshot)).toEqual([
      `${bob.address} presence snapshot`,
      `${carol.address} presence snapshot`,
    ]);
    await bob.sets("travel", rome);
    await alice.hearsNothing();
  });

  test("is followed as it was when the stream was opened; whoever came to it meanwhile is shown at the next", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await bob.sets("travel", oslo);
    await carol.sets("travel", oslo);
    await keeps(alice, bob);
    await alice.watches("roster", "travel");
    await adds(alice, carol);
    await carol.sets("presence", {});
    await alice.hearsNothing();
    const { live } = await alice.watches("roster", "travel");
    await alice.leaves();
    // Nobody new: only what changed.
    await bob.sets("travel", rome);
    const again = await alice.watches("roster", "travel", { after: live.cursor });
    expect(told(again.snapshot)).toEqual([`${bob.address} travel set`]);
    await alice.leaves();
    const dave = await world.registers("dave");
    await dave.sets("travel", oslo);
    const beside = await alice.watches("roster", "travel");
    await alice.leaves();
    await adds(alice, dave);
    const { snapshot } = await alice.watches("roster", "travel", { after: beside.live.cursor });
    expect(told(snapshot)).toContain(`${dave.address} travel snapshot`);
    await keeps(alice, dave);
    await alice.watches("roster", "travel");
    await bob.sets("travel", oslo);
    await alice.hearsNothing();
  });

  test("a new petname disturbs nobody who resumes; a new contact may", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("travel", oslo);
    await keeps(alice, bob);
    const types = (heard: readonly Heard[]): string[] => heard.map(({ event }) => event.type.slice(12));
    const { live } = await bob.watches(alice, "travel", { withoutBell: true });
    await bob.leaves();
    await adds(alice, { address: bob.address, name: "Bobby" });
    await alice.sets("travel", rome);
    const first = await bob.watches(alice, "travel", { withoutBell: true, after: live.cursor });
    expect(types(first.snapshot)).toEqual(["property.changed"]);
    await bob.leaves();
    await adds(alice, { address: "zoe@example.com" });
    const second = await bob.watches(alice, "travel", { withoutBell: true, after: first.live.cursor });
    expect(types(second.snapshot)).toEqual(["stream.reset", "property.changed"]);
  });

  test("one contact who blocks does not keep the others from being watched", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const carol = await world.registers("carol");
    await bob.sets("travel", oslo);
    await carol.sets("travel", oslo);
    await keeps(alice, bob, carol);
    await bob.blocks(alice, "hard");
    const { snapshot } = await alice.watches("roster", "travel");
    expect(told(snapshot)).toEqual([`${carol.address} travel snapshot`]);
    await carol.blocks(alice);
    await alice.hears("property.removed", { node: carol.address, name: "travel" });
    await bob.unblocks(alice);
    await alice.hears("property.changed", { node: bob.address, reason: "snapshot" });
  });

  test("is watched by polls and sockets as well", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.sets("travel", oslo);
    await keeps(alice, bob);
    const first = await done(alice.asks("GET", "/v1/poll?watch=roster:travel"));
    expect(first.body.events).toMatchObject([{ data: { node: bob.address, reason: "snapshot" } }]);
    await bob.sets("travel", rome);
    const next = await done(alice.asks("GET", `/v1/poll?watch=roster&wait=20&after=${first.body.cursor}`));
    expect(next.body.events).toMatchObject([{ data: { value: rome, reason: "set" } }]);
    await using socket = await openSocket(world.url, { token: alice.token, query: "?watch=roster:travel" });
    await socket.hears("property.changed", { node: bob.address, value: rome, reason: "snapshot" });
    await socket.hears("stream.live");
  });

  test("only its owner has it, as far as the token reaches", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await bob.patches({ set: { travel: { value: oslo }, presence: { value: {} } } });
    await keeps(alice, bob);
    const narrowed = async (...scopes: string[]): Promise<Person> =>
      alice.with((await done(alice.asks("POST", "/v1/tokens", { body: { scopes } }))).body.token);
    const body = { contacts: [{ address: bob.address, name: "Bob" }] };
    const status = async (who: Person, method: string): Promise<number> =>
      (await who.asks(method, path, method === "GET" ? {} : { body })).status;
    const watches = async (who: Person, names = "travel"): Promise<number> =>
      (await who.asks("GET", `/v1/poll?watch=roster:${names}`)).status;
    for (const method of ["GET", "PUT", "POST"]) expect(await status(world.stranger, method)).toBe(401);
    expect(await watches(world.stranger)).toBe(401);
    const reader = await narrowed("read:contacts", "read:travel");
    const { contacts } = await reads(reader);
    expect(Object.keys(contacts[0].properties)).toEqual(["travel"]);
    expect([await status(reader, "PUT"), await status(reader, "POST"), await watches(reader)]).toEqual([
      403, 403, 403,
    ]);
    const writer = await narrowed("write:contacts");
    expect([await status(writer, "GET"), await status(writer, "PUT"), await status(writer, "POST")]).toEqual([
      403, 200, 403,
    ]);
    const watcher = await narrowed("watch:contacts", "watch:travel");
    expect([await watches(watcher), await watches(watcher, "presence")]).toEqual([200, 403]);
    expect(await watches(await narrowed("watch:travel"))).toBe(403);
  });

  test("goes out and comes in again as it was, as JSON and as cards", async () => {
    const alice = await world.registers("alice");
    const contacts = [
      {
        address: "bob@example.com",
        name: "Bob; the \\one, 🦊",
        groups: ["Friends, old", "Work"],
        note: "1\n2;3",
      },
      { address: "@example.net", name: "The office" },
      { address: "zoe@example.com" },
    ];
    await keeps(alice, ...contacts);
    const json = await done(alice.asks("GET", `${path}?bare=true`));
    expect(json.body).toEqual({ contacts });
    const vcards = await done(alice.asks("GET", path, { headers: { accept: "text/vcard, */*;q=0.1" } }));
    expect(vcards.headers.get("content-type")).toBe("text/vcard; charset=utf-8");
    expect(vcards.text.match(/^BEGIN:VCARD\r$/gm)).toHaveLength(3);
    expect(vcards.text).toContain("IMPP:acct:bob@example.com\r\n");
    for (const wish of [
      { body: json.body },
      { text: vcards.text, headers: { "content-type": "text/vcard;charset=UTF-8" } },
    ]) {
      const beth = await world.registers("beth");
      expect(await done(beth.asks("PUT", path, wish))).toMatchObject({ status: 201, body: { size: 3 } });
      expect(await beth.sees(beth, "contacts")).toEqual(await alice.sees(alice, "contacts"));
      expect((await done(beth.asks("GET", `${path}?bare=true`))).text).toBe(json.text);
      const back = await done(beth.asks("GET", path, { headers: { accept: "text/vcard" } }));
      expect(back.text).toBe(vcards.text);
    }
    const etag = vcards.headers.get("etag") as string;
    expect(etag).toBe(json.headers.get("etag"));
    const headers = { accept: "text/vcard", "if-none-match": etag };
    expect((await alice.asks("GET", path, { headers })).status).toBe(304);
    const wanted = async (accept: string): Promise<string | null> =>
      (await alice.asks("GET", `${path}?bare=true`, { headers: { accept } })).headers.get("content-type");
    expect(await wanted("application/json, text/vcard;q=0.5")).toMatch("application/json");
    expect(await wanted("text/html")).toMatch("application/json");
    expect(await wanted("text/vcard;q=0")).toMatch("application/json");
  });

  test("is merged: new contacts come to it, and what is said anew of old ones holds", async () => {
    const alice = await world.registers("alice");
    await keeps(
      alice,
      { address: "bob@example.com", name: "Bob", note: "old" },
      { address: "eve@example.com" },
    );
    const text =
      card("FN:Bobby", "CATEGORIES:Chess", "IMPP:acct:bob@example.com") + card("IMPP:acct:zoe@example.com");
    const merged = await done(alice.asks("POST", path, { text, headers: cards }));
    expect(merged).toMatchObject({ status: 200, body: { size: 3 } });
    expect((await reads(alice, "?bare=true")).contacts).toEqual([
      { address: "bob@example.com", name: "Bobby", groups: ["Chess"], note: "old" },
      { address: "eve@example.com" },
      { address: "zoe@example.com" },
    ]);
    const beth = await world.registers("beth");
    expect((await adds(beth, { address: "bob@example.com" })).status).toBe(201);
  });

  test("many merges at once lose nobody", async () => {
    const alice = await world.registers("alice");
    await keeps(alice);
    await Promise.all(
      Array.from({ length: 8 }, (_, index) => adds(alice, { address: `u${index}@example.com` })),
    );
    expect((await reads(alice, "?bare=true")).contacts).toHaveLength(8);
  });

  test("is changed on condition, and once for each key", async () => {
    const alice = await world.registers("alice");
    const asks = async (method: string, who: string, headers: Record<string, string>): Promise<Answer> =>
      await alice.asks(method, path, { body: { contacts: [{ address: `${who}@example.com` }] }, headers });
    const mismatch = { status: 412, body: { code: "revision-mismatch" } };
    expect(await asks("PUT", "bob", { "if-match": "*" })).toMatchObject(mismatch);
    expect(await asks("POST", "bob", { "if-match": "*" })).toMatchObject(mismatch);
    const first = await asks("PUT", "bob", { "if-none-match": "*" });
    expect(first.status).toBe(201);
    const etag = first.headers.get("etag") as string;
    expect(await asks("POST", "zoe", { "if-none-match": "*" })).toMatchObject(mismatch);
    const second = await asks("POST", "zoe", { "if-match": etag, "idempotency-key": "one" });
    expect(second).toMatchObject({ status: 200, body: { size: 2 } });
    expect(await asks("POST", "eve", { "if-match": etag })).toMatchObject(mismatch);
    expect(await asks("PUT", "eve", { "if-match": etag })).toMatchObject(mismatch);
    expect(await asks("POST", "eve", { "if-match": '"999999"' })).toMatchObject(mismatch);
    const again = await asks("POST", "zoe", { "if-match": etag, "idempotency-key": "one" });
    expect([again.status, again.text, again.headers.get("etag")]).toEqual([
      200,
      second.text,
      second.headers.get("etag"),
    ]);
    expect((await asks("POST", "eve", { "idempotency-key": "one" })).body.code).toBe("idempotency-mismatch");
    expect((await asks("POST", "eve", { "if-match": "*" })).body).toEqual({ size: 3 });
  });

  test("what does not fit is refused in clear words, and nothing is stored", async () => {
    const alice = await world.registers("alice");
    await keeps(alice, { address: "bob@example.com", name: "Bobby" });
    const before = await alice.gets(alice, "contacts");
    const refuses = async (wish: Data, status: number, code: string, detail = ""): Promise<void> => {
      for (const method of ["PUT", "POST"]) {
        const answer = await alice.asks(method, path, wish);
        expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
        expect(answer.body.detail).toContain(detail);
      }
    };
    const asText = (text: string, type = "text/vcard"): Data => ({ text, headers: { "content-type": type } });
    const bob = card("IMPP:acct:bob@example.com");
    await refuses(asText(card("FN:Bobby")), 400, "bad-vcard", "Card 1 names no address");
    await refuses(asText(bob.replace("4.0", "3.0")), 400, "bad-vcard", "as vCard 4.0");
    await refuses(asText(bob, "text/vcard; charset=iso-8859-1"), 415, "unsupported-media-type", "UTF-8");
    await refuses(asText(bob, "text/x-vcard"), 415, "unsupported-media-type", "text/vcard");
    await refuses(asText(card(`NOTE:${"x".repeat(300_000)}`)), 413, "body-too-large");
    const many = Array.from({ length: 10_000 }, () => "BEGIN:VCARD\nEND:VCARD\n").join("");
    await refuses(asText(many), 422, "too-many-contacts", "2000");
    await refuses(asText(card(`NOTE:${"x".repeat(100_000)}`, "IMPP:acct:b@c")), 400, "bad-vcard", "NOTE");
    const json = (...contacts: Data[]): Data => ({ body: { contacts } });
    await refuses(json({ address: "bob" }), 400, "bad-address");
    await refuses(json({ address: "b@c" }, { address: "B@C" }), 400, "bad-request", "twice");
    await refuses(json({ address: "b@c", name: 1 }), 400, "bad-request", "/contacts/0/name");
    await refuses(json({ address: "b@c", petname: "x" }), 400, "bad-request", "petname");
    await refuses(json({ address: "b@c", name: "a\nb" }), 400, "bad-request", "/contacts/0/name");
    await refuses({ body: [] }, 400, "bad-request");
    const noted = Array.from({ length: 90 }, (_, index) => ({
      address: `u${index}@c`,
      note: "x".repeat(1_000),
    }));
    await refuses(json(...noted), 413, "value-too-large", "Shorten notes");
    const bytes = await fetch(`${world.url}${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${alice.token}`, ...cards },
      body: Buffer.from(card("FN:J\xf6rg", "IMPP:acct:b@c"), "latin1"),
    });
    expect(await bytes.json()).toMatchObject({ status: 400, code: "bad-vcard" });
    // Cards are for the roster alone.
    const elsewhere = await alice.asks("PUT", propertyPath(alice.address, "contacts"), asText(bob));
    expect(elsewhere.body.code).toBe("unsupported-media-type");
    expect((await alice.asks("GET", "/v1/poll?watch=roster&watch=roster:travel")).body.code).toBe(
      "bad-request",
    );
    expect((await alice.asks("GET", "/v1/poll?watch=roster:")).body.code).toBe("bad-name");
    expect(await alice.gets(alice, "contacts")).toEqual(before);
  });

  test("of a thousand is read and watched in one call", async () => {
    const alice = await world.registers("alice");
    const people = await Promise.all(
      Array.from({ length: 5 }, (_, index) => world.registers(`friend${index}`)),
    );
    for (const one of people) await one.sets("presence", { status: "online" });
    const many = Array.from({ length: 1_000 - people.length }, (_, index) => ({
      address: `u${index}@localhost`,
    }));
    expect((await keeps(alice, ...many, ...people)).body).toEqual({ size: 1_000 });
    const { contacts, cursor } = await reads(alice, "?properties=presence");
    expect(contacts).toHaveLength(1_000);
    expect(contacts.filter(({ properties }: Data) => properties.presence)).toHaveLength(people.length);
    await people[0]?.sets("presence", { status: "away" });
    const { snapshot } = await alice.watches("roster", "presence", { after: cursor });
    expect(told(snapshot)).toContain(`${people[0]?.address} presence set`);
    await people[1]?.sets("presence", { status: "busy" });
    await alice.hears("property.changed", { node: people[1]?.address, value: { status: "busy" } });
  }, 60_000);
});

describe("what a roster costs", () => {
  const strangers = (count: number): Data[] =>
    Array.from({ length: count }, (_, index) => ({ address: `u${index}@localhost` }));
  const limited = { status: 429, body: { code: "rate-limited" } };

  describe("in guesses", () => {
    const world = aWorld("memory", {
      limits: { ...usualLimits, enumeration: { unknownMax: 5, windowMs: 3_600_000 } },
    });

    test("contacts that show nothing count as unknown targets, read or watched", async () => {
      const alice = await world.registers("alice");
      await keeps(alice, ...strangers(5));
      for (const _ of [1, 2]) expect((await reads(alice)).contacts).toHaveLength(5);
      await adds(alice, { address: "one-too-many@localhost" });
      expect(await alice.asks("GET", path)).toMatchObject(limited);
      expect(await alice.asks("GET", "/v1/poll?watch=roster")).toMatchObject(limited);
      // What nobody is asked for costs nothing.
      expect((await reads(alice, "?bare=true")).contacts).toHaveLength(6);
      const beth = await world.registers("beth");
      await keeps(beth, ...strangers(6));
      expect(await beth.asks("GET", "/v1/poll?watch=roster")).toMatchObject(limited);
    });
  });

  describe("in requests", () => {
    const world = aWorld("memory", { limits: { ...usualLimits, requests: { burst: 20, perSecond: 0.01 } } });

    test("each contact that is read or watched is one, and each KiB of cards", async () => {
      const alice = await world.registers("alice");
      await keeps(alice, ...strangers(17));
      expect((await reads(alice)).contacts).toHaveLength(17);
      expect(await alice.asks("GET", path)).toMatchObject(limited);
      const beth = await world.registers("beth");
      await keeps(beth, ...strangers(17));
      expect((await beth.asks("GET", "/v1/poll?watch=roster")).status).toBe(200);
      expect(await beth.asks("GET", path)).toMatchObject(limited);
      const carol = await world.registers("carol");
      const text = card(`X-PADDING:${"x".repeat(15 * 1024)}`, "IMPP:acct:bob@example.com");
      expect((await carol.asks("PUT", path, { text, headers: cards })).status).toBe(201);
      expect(await carol.asks("PUT", path, { text, headers: cards })).toMatchObject(limited);
    });
  });
});

// What buddy lists did in 2000, as one conversation that is printed as it runs: who asks for what, and what comes back.
import { describe, expect, test } from "vitest";
import { type Answer, aWorld, type Data, type Heard, nodePath, type Person, stages } from "./world.ts";

const lineMax = 220;
/** Of what a directory knows a moment later. */
const patience = { timeout: 10_000, interval: 50 };

describe.each(stages)("a list of buddies on the %s log", (stage) => {
  const world = aWorld(stage);
  const names = new Map<string, string>();

  function say(text: string): void {
    const line = text.length > lineMax ? `${text.slice(0, lineMax)}…` : text;
    console.log(line);
  }

  function nameOf(who: Person): string {
    return names.get(who.address) ?? "somebody";
  }

  /** One request, printed with its answer. @throws when the answer is another than expected */
  async function step(
    who: Person,
    why: string,
    method: string,
    path: string,
    status: number | readonly number[],
    body?: Data,
  ): Promise<Answer> {
    const answer = await who.asks(method, path, body === undefined ? {} : { body });
    const sent = body === undefined ? "" : ` ${JSON.stringify(body)}`;
    const name = nameOf(who).padEnd(8);
    say(`${name} ${why}: ${method} ${decodeURIComponent(path)}${sent} -> ${answer.status} ${shown(answer)}`);
    expect([status].flat(), `${why}: ${answer.text}`).toContain(answer.status);
    return answer;
  }

  /** Nobody's token belongs into a transcript. */
  function shown({ text }: Answer): string {
    return text.replace(/"token":"[^"]*"/, '"token":"…"');
  }

  /** What comes next of this kind, printed; what else a stream tells meanwhile is passed over. */
  async function hears(who: Person, type: string, wanted: Data): Promise<Data> {
    for (;;) {
      const heard = (await who.hearsThrough(type)).at(-1) as Heard;
      const { data } = heard.event;
      if (!expect.objectContaining(wanted).asymmetricMatch(data)) continue;
      say(`${nameOf(who).padEnd(8)} hears ${heard.event.type} ${JSON.stringify(data)}`);
      return data;
    }
  }

  async function registers(name: string, wish: Data): Promise<Person> {
    names.set("", name);
    const { body } = await step(world.stranger, "registers", "POST", "/v1/accounts", 201, wish);
    names.set(body.address, name);
    return world.knows(body.address, body.token);
  }

  async function opens(who: Person, watch?: string): Promise<void> {
    say(`${nameOf(who).padEnd(8)} listens: GET /v1/events${watch === undefined ? "" : `?watch=${watch}`}`);
    if (watch === undefined) await who.listens();
    else await who.watches(...(watch.split(":") as [string, string]));
  }

  async function sends(from: Person, why: string, to: Person, message: Data): Promise<Data> {
    const { body } = await step(from, why, "POST", `${nodePath(to.address)}/messages`, 202, message);
    expect(body.id).toEqual(expect.any(String));
    return body;
  }

  async function acknowledges(who: Person, id: string): Promise<void> {
    await step(who, "has read it", "DELETE", `/v1/messages/${encodeURIComponent(id)}`, 204);
  }

  /** Sent, heard as it was sent, acknowledged. */
  async function delivers(from: Person, why: string, to: Person, message: Data): Promise<void> {
    const { id } = await sends(from, why, to, message);
    const { expiresIn: _, ...carried } = message;
    const wanted = { id, from: from.address, to: to.address, ...carried };
    const heard = await hears(to, "message.received", wanted);
    expect(Date.parse(heard.expires)).toBeGreaterThan(Date.now());
    await acknowledges(to, id);
  }

  const contactsMay = {
    rules: [
      { who: ["contacts"], properties: ["*"], allow: ["read", "watch", "message"] },
      { who: ["anyone"], properties: ["profile"], allow: ["read", "watch"] },
    ],
  };

  test("register, find, add, leave a spot, on and off, poll, message, share, invite", async () => {
    const mark = `${stage}${Date.now().toString(36)}`;
    const email = `carol-${mark}@example.com`;

    say("--- Registering: with a handle and an e-mail address, or with a number that the broker issues");
    const alice = await registers("Alice", {
      handle: `alice-${mark}`,
      email: `alice-${mark}@example.com`,
      displayName: "Alice",
    });
    const bob = await registers("Bob", { displayName: `Robert ${mark}` });
    expect(bob.address).toMatch(/^\d+@/);
    for (const one of [alice, bob]) {
      await step(one, "says who may know", "PUT", `${nodePath(one.address)}/policy`, 200, contactsMay);
    }
    const profile = { value: { name: `Robert Builder ${mark}`, city: "Oslo" } };
    await step(
      bob,
      "describes himself",
      "PUT",
      `${nodePath(bob.address)}/properties/profile`,
      [200, 201],
      profile,
    );

    say("--- Finding: by any property that the seeker may see");
    const query = `/v1/directory?q=${encodeURIComponent(`Builder ${mark}`)}`;
    await expect
      .poll(
        async () => (await alice.asks("GET", query)).body.nodes?.map(({ address }: Data) => address),
        patience,
      )
      .toContain(bob.address);
    const { body: found } = await step(alice, "finds Bob", "GET", query, 200);
    expect(found.nodes.map(({ address }: Data) => address)).toEqual([bob.address]);

    say("--- Adding: each puts the other on the list; Bob is told that Alice wants to know");
    const bobby = { address: bob.address, name: "Bobby", groups: ["Friends"] };
    await step(alice, "adds Bob", "POST", "/v1/me/roster", 201, { contacts: [bobby] });
    await step(bob, "adds Alice", "POST", "/v1/me/roster", 201, { contacts: [{ address: alice.address }] });
    await opens(bob);
    await opens(alice, "roster:presence");
    await hears(bob, "watcher.started", { watcher: alice.address });

    say("--- Leaving a spot: for somebody who will register with this e-mail address one day");
    const spot = { target: `mailto:${email}`, properties: ["presence"] };
    const { body: left } = await step(alice, "leaves a spot", "POST", "/v1/subscriptions", 201, spot);
    expect(left.state).toBe("pending");
    const carol = await registers("Carol", { email, displayName: "Carol" });
    await hears(alice, "subscription.active", { id: left.id });
    const carols = `${nodePath(carol.address)}/properties/presence`;
    await step(carol, "signs on", "PUT", carols, 201, {
      value: { status: "online" },
      lease: { seconds: 60 },
    });
    const { node } = await hears(alice, "property.changed", { node: carol.address, name: "presence" });
    await step(alice, "has Carol on the list", "POST", "/v1/me/roster", 200, {
      contacts: [{ address: node }],
    });

    say("--- On and off: presence is leased, kept alive, and ends by itself or by a word");
    const bobs = `${nodePath(bob.address)}/properties/presence`;
    const id = `bobs-${mark}`;
    const lease = { id, seconds: 60, default: { status: "offline" } };
    await step(bob, "signs on", "PUT", bobs, 201, { value: { status: "online" }, lease });
    await hears(alice, "property.changed", { node: bob.address, value: { status: "online" } });
    await step(bob, "goes to lunch", "PUT", bobs, 200, { value: { status: "at-lunch" }, lease });
    await hears(alice, "property.changed", { node: bob.address, value: { status: "at-lunch" } });
    await step(bob, "is still there", "POST", `/v1/leases/${id}/renew`, 200, {});
    await alice.hearsNothing();
    say("Alice    hears nothing: keeping alive wakes nobody");

    say("--- Polling: the whole list in one call, then what changed, for clients behind proxies");
    const { body: roster } = await step(alice, "looks", "GET", "/v1/me/roster?properties=presence", 200);
    const statuses = roster.contacts.map(({ address, properties }: Data) => [
      address,
      properties.presence?.value.status,
    ]);
    expect(statuses).toEqual([
      [bob.address, "at-lunch"],
      [carol.address, "online"],
    ]);
    await step(bob, "signs off", "DELETE", `/v1/leases/${id}`, 204);
    await hears(alice, "property.changed", { node: bob.address, value: { status: "offline" } });
    const poll = `/v1/poll?watch=roster:presence&wait=10&after=${roster.cursor}`;
    const { body: polled } = await step(alice, "polls", "GET", poll, 200);
    const changes = polled.events.filter(({ type }: Data) => type === "dev.tidings.property.changed");
    expect(changes.map(({ data }: Data) => [data.node, data.value])).toContainEqual([
      bob.address,
      { status: "offline" },
    ]);

    say("--- Talking: a quick message, an answer, a small file, a URL, an e-mail");
    const plain = (content: string): Data => ({ contentType: "text/plain", content });
    await delivers(alice, "sends a quick message", bob, plain("Are you there?"));
    await delivers(bob, "answers", alice, plain("Always. Lunch was good."));
    await delivers(alice, "sends a small file", bob, {
      contentType: "image/png",
      contentBase64: Buffer.from("\x89PNG\r\n\x1a\nnot much of a picture", "latin1").toString("base64"),
    });
    await delivers(bob, "shares a URL", alice, {
      contentType: "text/uri-list",
      content: "https://example.com/bicycles/17\r\n",
    });
    await delivers(alice, "sends a quick e-mail", bob, {
      contentType: "message/rfc822",
      content: "Subject: The bicycle\r\n\r\nI take it.\r\n",
    });

    say("--- Inviting: to join in a game, by whatever medium");
    await delivers(alice, "invites Bob to a game", bob, {
      contentType: "text/plain",
      content: "Chess?",
      invitation: { media: "game/chess", uri: "https://chess.example/games/42" },
    });

    say("--- What if I am not there: a message waits, for a while");
    await bob.leaves();
    say("Bob      leaves");
    const call = plain("Call me when you are back.");
    const waiting = { ...call, expiresIn: 3600 };
    const sent = await sends(alice, "writes to Bob, who is not there", bob, waiting);
    const { body: held } = await step(bob, "is back, and looks", "GET", "/v1/messages", 200);
    expect(held.messages).toMatchObject([{ id: sent.id, from: alice.address, to: bob.address, ...call }]);
    const secondsLeft = (Date.parse(held.messages[0].expires) - Date.now()) / 1000;
    expect(secondsLeft).toBeGreaterThan(3000);
    expect(secondsLeft).toBeLessThanOrEqual(3601);
    await acknowledges(bob, sent.id);
    expect((await step(bob, "looks again", "GET", "/v1/messages", 200)).body.messages).toEqual([]);
  });
});

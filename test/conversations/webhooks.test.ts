// Webhooks: a subscription that is delivered by POST, whatever becomes of the endpoint.
import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import type { PushTimes } from "../../services/push/push.ts";
import { until } from "../store/embedded.ts";
import { answers, type Endpoint, openEndpoint, wrongWith } from "./endpoint.ts";
import { polls } from "./post.ts";
import { aWorld, type Data, longStages, type Person } from "./world.ts";

/** The same as usual, in a hurry. */
const times: PushTimes = {
  retryMs: [300, 600, 60_000, 60_000],
  gapMs: 150,
  answerMs: 1_000,
  retryAfterMsMax: 1_500,
  saveMs: 50,
  saveIdleMs: 50,
  recallMs: 300,
  storeMs: 50,
};

let open = new AsyncDisposableStack();
afterEach(async () => {
  await open.disposeAsync();
  open = new AsyncDisposableStack();
});

async function anEndpoint(): Promise<Endpoint> {
  return open.use(await openEndpoint());
}

const path = (id: string): string => `/v1/subscriptions/${id}`;

/** Subscribes with delivery to an endpoint, which learns the secret. */
async function hooks(who: Person, endpoint: Endpoint, wish: Data, hook: Data = {}): Promise<string> {
  const made = await who.subscribes({ ...wish, delivery: { webhook: { url: endpoint.url, ...hook } } });
  endpoint.secret = hook.secret ?? made.delivery.webhook.secret;
  return made.id;
}

async function shown(who: Person, id: string): Promise<Data> {
  return (await who.asks("GET", path(id))).body.delivery.webhook;
}

async function attempts(who: Person, id: string): Promise<Data[]> {
  return (await who.asks("GET", `${path(id)}/attempts`)).body.attempts;
}

async function replays(who: Person, id: string, after?: string): Promise<number> {
  const wish = after === undefined ? {} : { body: { after } };
  return (await who.asks("POST", `${path(id)}/replay`, wish)).status;
}

const toldOf =
  (name: string, value: unknown) =>
  ({ data }: { data: Data }) =>
    data.name === name && JSON.stringify(data.value) === JSON.stringify(value);

describe.each(longStages)("webhooks on the %s log", (stage) => {
  const world = aWorld(stage, { settings: { webhookAllowPrivate: true, push: { times } } });

  test("bring what is there and each change, in order, signed as Standard Webhooks says", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    await alice.sets("for-sale", { item: "boat", price: 1 });
    const endpoint = await anEndpoint();
    const id = await hooks(bob, endpoint, { target: alice.address });
    await endpoint.hears("the snapshot", toldOf("for-sale", { item: "boat", price: 1 }));
    for (let price = 2; price <= 6; price++) {
      await alice.sets("for-sale", { item: "boat", price });
      await endpoint.hears(`price ${price}`, toldOf("for-sale", { item: "boat", price }));
    }
    await alice.removes("for-sale");
    await endpoint.hears("the end", ({ type }) => type === "dev.tidings.property.removed");
    expect(endpoint.received.map(({ wrong }) => wrong).filter(Boolean)).toEqual([]);
    const [first] = endpoint.received;
    expect(first?.headers).toMatchObject({
      "content-type": "application/cloudevents+json",
      "webhook-id": first?.events[0]?.id,
      "tidings-subscription": id,
    });
    expect(endpoint.events.map(({ type }) => type).some((type) => /live|bookmark/.test(type))).toBe(false);
    const prices = endpoint.events.map(({ data }) => data.value?.price).filter(Boolean);
    expect(prices).toEqual([1, 2, 3, 4, 5, 6]);
    const log = await attempts(bob, id);
    expect(log[0]).toMatchObject({
      outcome: "delivered",
      status: 204,
      attempt: 1,
      type: "dev.tidings.property.removed",
    });
    expect(log.length).toBe(endpoint.received.length);
  });

  test("show their secret once, are listed with their state, and are told on no stream", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    await alice.sets("for-sale", { item: "kayak", price: 1 });
    const wish = { target: alice.address, delivery: { webhook: { url: endpoint.url } } };
    const made = await bob.subscribes(wish);
    expect(made.delivery.webhook).toEqual({
      url: endpoint.url,
      format: "cloudevents",
      verified: false,
      state: "active",
      secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
    });
    const { secret, ...rest } = made.delivery.webhook;
    expect(await shown(bob, made.id)).toEqual(rest);
    const list = await bob.asks("GET", "/v1/subscriptions");
    expect(list.text.includes(secret)).toBe(false);
    expect(list.body.subscriptions[0].delivery.webhook).toEqual(rest);
    await bob.listens();
    await alice.sets("for-sale", { item: "kayak", price: 2 });
    await endpoint.hears("the change", toldOf("for-sale", { item: "kayak", price: 2 }));
    await bob.hearsNothing();
    expect((await polls(bob)).events).toEqual([]);
    expect((await alice.asks("GET", `${path(made.id)}/attempts`)).status).toBe(404);
    expect((await bob.asks("DELETE", path(made.id))).status).toBe(204);
    expect((await bob.asks("GET", `${path(made.id)}/attempts`)).status).toBe(404);
  });

  test("of an owner that is watched by others carry nothing but the one subscription", async () => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    const endpoint = await anEndpoint();
    await hooks(bob, endpoint, { target: alice.address, properties: ["for-sale"] });
    await bob.subscribes({ target: alice.address, properties: ["looking-for"] });
    await carol.subscribes({ target: bob.address });
    await carol.asks("POST", `/v1/nodes/${encodeURIComponent(bob.address)}/messages`, {
      body: { contentType: "text/plain", content: "hello" },
    });
    await alice.sets("looking-for", { item: "oar" });
    await alice.sets("for-sale", { item: "oar", price: 9 });
    await endpoint.hears("the change", toldOf("for-sale", { item: "oar", price: 9 }));
    expect(endpoint.events.map(({ data }) => data.name)).toEqual(["for-sale"]);
  });

  test("come in batches where these are wished, with an id that a retry keeps", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    for (let n = 0; n < 30; n++)
      await alice.sets("for-sale", { item: "pearl", price: n }, { at: alice.address, view: `v${n % 3}` });
    const set = Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`for-sale.${n}`, { value: n }]));
    await alice.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch"] });
    await alice.patches({ set });
    const endpoint = await anEndpoint();
    let failures = 1;
    endpoint.answer = (response) => response.writeHead(failures-- > 0 ? 500 : 200).end();
    await hooks(bob, endpoint, { target: alice.address, properties: ["for-sale.*"] }, { format: "batch" });
    await until("all of it", () => endpoint.events.length >= 120);
    expect(
      endpoint.received.every(
        ({ headers }) => headers["content-type"] === "application/cloudevents-batch+json",
      ),
    ).toBe(true);
    expect(endpoint.received.map(({ wrong }) => wrong).filter(Boolean)).toEqual([]);
    expect(endpoint.received.length).toBeLessThan(10);
    expect(Math.max(...endpoint.received.map(({ events }) => events.length))).toBe(100);
    expect(endpoint.received[1]?.id).toBe(endpoint.received[0]?.id);
    expect(new Set(endpoint.received.map(({ id }) => id)).size).toBe(endpoint.received.length - 1);
  });

  test("bring an endpoint that was down the last value of everything, and no hole", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const names = ["for-sale", "looking-for", "profile.name"];
    await alice.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch"] });
    const id = await hooks(bob, endpoint, { target: alice.address, properties: ["a.*"] });
    for (const name of names) await alice.sets(`a.${name}`, 0);
    await endpoint.hears("what was before", toldOf("a.profile.name", 0));
    await endpoint.goesDown();
    for (let n = 1; n <= 20; n++) for (const name of names) await alice.sets(`a.${name}`, n);
    await alice.removes("a.looking-for");
    await until("a failure", async () => (await shown(bob, id)).state === "failing");
    expect(await shown(bob, id)).toMatchObject({
      state: "failing",
      reason: expect.stringContaining("ECONNREFUSED"),
    });
    await endpoint.comesBack();
    // What is new brings the next attempt forward.
    await alice.sets("a.for-sale", 21);
    await endpoint.hears("the last value", toldOf("a.for-sale", 21));
    await endpoint.hears("the other last value", toldOf("a.profile.name", 20));
    await endpoint.hears(
      "the end",
      ({ type, data }) => type.endsWith("property.removed") && data.name === "a.looking-for",
    );
    expect(await shown(bob, id)).toMatchObject({ state: "active" });
    expect(await shown(bob, id)).not.toHaveProperty("reason");
    // Far fewer than there were: of each property the newest.
    expect(endpoint.events.length).toBeLessThan(30);
    expect((await attempts(bob, id)).map(({ outcome }) => outcome)).toContain("retrying");
  });

  test("tell nothing of what was blocked while the endpoint was down", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const id = await hooks(bob, endpoint, { target: alice.address });
    await alice.sets("for-sale", { item: "gem", price: 1 });
    await endpoint.hears("what was before", toldOf("for-sale", { item: "gem", price: 1 }));
    await endpoint.goesDown();
    await alice.sets("for-sale", { item: "gem", price: 2 });
    await until("a failure", async () => (await shown(bob, id)).state === "failing");
    await alice.blocks(bob);
    await alice.sets("for-sale", { item: "gem", price: 3 });
    await endpoint.comesBack();
    const { length } = endpoint.received;
    await until("a delivery", async () => (await shown(bob, id)).state === "active");
    expect(JSON.stringify(endpoint.received.slice(length)).includes("gem")).toBe(false);
  });

  test("tell nothing of what was blocked while it waited to be sent", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    await alice.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch"] });
    const held: (() => void)[] = [];
    endpoint.answer = (response) => void held.push(() => response.writeHead(204).end());
    for (let n = 0; n < 20; n++) await alice.sets(`gem.${n}`, n);
    await hooks(bob, endpoint, { target: alice.address });
    await until("the first of many", () => held.length === 1);
    await alice.blocks(bob);
    const blockedMs = performance.now();
    held[0]?.();
    endpoint.answer = answers(204);
    const marker = await world.registers("carol");
    await marker.sets("for-sale", { item: "marker", price: 1 });
    const other = await anEndpoint();
    await hooks(bob, other, { target: marker.address });
    await other.hears("what comes later", () => true);
    await until("a second", () => performance.now() > blockedMs + 1_000);
    const later = endpoint.received
      .slice(1)
      .filter(({ events }) => events.some(({ type }) => type.endsWith("changed")));
    expect(later.map(({ events }) => events)).toEqual([]);
  });

  test("cut off what hangs on its way when it is blocked, within a second", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    let cutMs = Number.POSITIVE_INFINITY;
    endpoint.answer = (response) => {
      response.once("close", () => {
        cutMs = performance.now();
      });
    };
    await alice.sets("for-sale", { item: "gem", price: 1 });
    await hooks(bob, endpoint, { target: alice.address });
    await until("it to hang", () => endpoint.received.length === 1);
    await alice.blocks(bob);
    const blockedMs = performance.now();
    await until("it to be cut off", () => cutMs < Number.POSITIVE_INFINITY);
    expect(cutMs - blockedMs).toBeLessThan(800);
  });

  test("tell nothing of whoever was found and has blocked them since", async () => {
    const [alice, bob, carol] = [
      await world.registers("alice"),
      await world.registers("bob"),
      await world.registers("carol"),
    ];
    const word = `w${randomBytes(6).toString("hex")}`;
    for (const one of [alice, carol]) await one.sets("for-sale", { item: word, price: 1 });
    await until(
      "both to be found",
      async () => (await bob.asks("GET", `/v1/directory?q=${word}`)).body.nodes.length === 2,
    );
    const endpoint = await anEndpoint();
    const held: (() => void)[] = [];
    endpoint.answer = (response) => void held.push(() => response.writeHead(204).end());
    await hooks(bob, endpoint, { query: { q: word } });
    await until("the first", () => held.length === 1);
    const told = endpoint.received[0]?.events[0]?.data.node;
    const other = told === alice.address ? carol : alice;
    await other.blocks(bob);
    held[0]?.();
    endpoint.answer = answers(204);
    await (other === alice ? carol : alice).removes("for-sale");
    await endpoint.hears(
      "the end of the other",
      ({ type, data }) => type.endsWith("match.left") && data.node === told,
    );
    const shownOf = endpoint.received.slice(1).flatMap(({ events }) => events);
    expect(
      shownOf.filter(({ data }) => data.node === other.address && JSON.stringify(data).includes(word)),
    ).toEqual([]);
  });

  test("end with their subscription, and with their account", async () => {
    const alice = await world.registers("alice");
    const [bob, carol] = [await world.registers("bob"), await world.registers("carol")];
    const [ofBob, ofCarol, after] = [await anEndpoint(), await anEndpoint(), await anEndpoint()];
    const id = await hooks(bob, ofBob, { target: alice.address });
    await hooks(carol, ofCarol, { target: alice.address });
    await alice.sets("for-sale", { item: "rope", price: 1 });
    for (const endpoint of [ofBob, ofCarol])
      await endpoint.hears("it", toldOf("for-sale", { item: "rope", price: 1 }));
    expect((await bob.asks("DELETE", path(id))).status).toBe(204);
    expect((await carol.asks("DELETE", "/v1/me")).status).toBe(204);
    await hooks(bob, after, { target: alice.address });
    await alice.sets("for-sale", { item: "rope", price: 2 });
    await after.hears("it", toldOf("for-sale", { item: "rope", price: 2 }));
    expect([ofBob.received.length, ofCarol.received.length]).toEqual([1, 1]);
  });

  test("end with 410, and come to life by a replay", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    endpoint.answer = answers(410);
    await alice.sets("for-sale", { item: "rug", price: 1 });
    const id = await hooks(bob, endpoint, { target: alice.address });
    await until("its end", async () => (await shown(bob, id)).state === "disabled");
    expect((await shown(bob, id)).reason).toContain("410");
    expect(await attempts(bob, id)).toMatchObject([{ outcome: "failed", status: 410, attempt: 1 }]);
    endpoint.answer = answers(200);
    await alice.sets("for-sale", { item: "rug", price: 2 });
    expect(endpoint.received.length).toBe(1);
    expect(await replays(bob, id)).toBe(204);
    await endpoint.hears("the present", toldOf("for-sale", { item: "rug", price: 2 }));
    expect(await shown(bob, id)).toMatchObject({ state: "active" });
  });

  test("begin again from a cursor that a delivery carried, and from no other text", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    await alice.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch"] });
    const id = await hooks(bob, endpoint, { target: alice.address });
    for (const n of [1, 2, 3]) {
      await alice.sets(`step.${n}`, n);
      await endpoint.hears(`step ${n}`, toldOf(`step.${n}`, n));
    }
    const cursor = endpoint.received.find(({ events }) => events[0]?.data.name === "step.1")?.headers[
      "tidings-cursor"
    ];
    const { length } = endpoint.events;
    expect(await replays(bob, id, String(cursor))).toBe(204);
    await until("two again", () => endpoint.events.length === length + 2);
    expect(endpoint.events.slice(length).map(({ data }) => data.name)).toEqual(["step.2", "step.3"]);
    expect(await replays(bob, id, "nonsense")).toBe(400);
    expect(await replays(alice, id)).toBe(404);
  });
});

describe("an endpoint", () => {
  const world = aWorld("memory", { settings: { webhookAllowPrivate: true, push: { times } } });

  test("that asks to be left alone is left alone for so long", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const waits = ["1", new Date(Date.now() + 3_600_000).toUTCString()];
    endpoint.answer = (response) => {
      const wait = waits.shift();
      if (wait) response.writeHead(503, { "retry-after": wait }).end();
      else response.writeHead(204).end();
    };
    await alice.sets("for-sale", { item: "bell", price: 1 });
    await hooks(bob, endpoint, { target: alice.address });
    await until("the first", () => endpoint.received.length === 1);
    // No news brings it forward.
    await alice.sets("for-sale", { item: "bell", price: 2 });
    await endpoint.hears("the newest", toldOf("for-sale", { item: "bell", price: 2 }));
    const [first = 0, second = 0, third = 0] = endpoint.received.map(({ atMs }) => atMs);
    expect(second - first).toBeGreaterThanOrEqual(995);
    // A date far away counts as the most that is waited.
    expect(third - second).toBeGreaterThanOrEqual(times.retryAfterMsMax - 5);
    expect(third - second).toBeLessThan(times.retryAfterMsMax + 1_500);
  });

  test("that answers a gigabyte has taken what it was sent, and is not listened to", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const block = Buffer.alloc(64 * 1024);
    let sent = 0;
    endpoint.answer = (response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && sent < 1024 ** 3) {
          sent += block.length;
          if (!response.write(block)) return void response.once("drain", more);
        }
      };
      more();
    };
    await alice.sets("for-sale", { item: "drum", price: 1 });
    const id = await hooks(bob, endpoint, { target: alice.address });
    await until("it to be delivered", async () => (await attempts(bob, id))[0]?.outcome === "delivered");
    expect(sent).toBeLessThan(64 * 1024 ** 2);
    expect(await shown(bob, id)).toMatchObject({ state: "active" });
  });

  test("that redirects is not followed", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const other = await anEndpoint();
    endpoint.answer = answers(307, { location: other.url });
    await alice.sets("for-sale", { item: "harp", price: 1 });
    const id = await hooks(bob, endpoint, { target: alice.address });
    await until("a failure", async () => (await shown(bob, id)).state === "failing");
    expect((await shown(bob, id)).reason).toContain("307");
    expect([other.received, other.asked]).toEqual([[], []]);
  });

  test("that hangs is given up in time, and only its own deliveries wait", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const [hanging, good] = [await anEndpoint(), await anEndpoint()];
    hanging.answer = () => undefined;
    await alice.sets("for-sale", { item: "horn", price: 1 });
    const id = await hooks(bob, hanging, { target: alice.address });
    await hooks(bob, good, { target: alice.address });
    await good.hears("it", toldOf("for-sale", { item: "horn", price: 1 }));
    await until("a failure", async () => (await shown(bob, id)).state === "failing");
    expect((await shown(bob, id)).reason).toMatch(/within 1000 ms/);
  });

  test("may say that it wants it, or does not, and how much of it", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const wish = { target: alice.address, delivery: { webhook: { url: endpoint.url } } };
    endpoint.handshake = { "webhook-allowed-origin": "elsewhere.example" };
    const refused = await bob.asks("POST", "/v1/subscriptions", { body: wish });
    expect(refused).toMatchObject({
      status: 422,
      body: { code: "bad-webhook", errors: [{ pointer: "/delivery/webhook/url" }] },
    });
    expect(endpoint.asked[0]).toMatchObject({
      "webhook-request-origin": "localhost",
      "webhook-request-rate": "6000",
    });
    expect((await bob.asks("GET", "/v1/subscriptions")).body.subscriptions).toEqual([]);
    for (const origin of ["*", "LOCALHOST"]) {
      endpoint.handshake = { "webhook-allowed-origin": origin };
      expect((await bob.subscribes(wish)).delivery.webhook).toMatchObject({ verified: true });
    }
    const slow = await anEndpoint();
    slow.handshake = { "webhook-allowed-origin": "localhost", "webhook-allowed-rate": "300" };
    await alice.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch"] });
    for (let n = 0; n < 6; n++) await alice.sets(`n.${n}`, n);
    await hooks(bob, slow, { target: alice.address });
    await until("six", () => slow.events.length === 6);
    const first = slow.received[0]?.atMs ?? 0;
    // 300 a minute are 200 ms apart.
    expect((slow.received[5]?.atMs ?? 0) - first).toBeGreaterThan(5 * 200 - 50);
  });

  test("is told with both secrets for a while after another one was given", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    const mine = `whsec_${randomBytes(24).toString("base64")}`;
    const id = await hooks(bob, endpoint, { target: alice.address }, { secret: mine });
    expect(await shown(bob, id)).not.toHaveProperty("secret");
    const turned = await bob.asks("PATCH", path(id), { body: { delivery: { webhook: { rotate: true } } } });
    const issued = turned.body.delivery.webhook.secret;
    expect(issued).toMatch(/^whsec_/);
    expect(await shown(bob, id)).not.toHaveProperty("secret");
    endpoint.answer = (response, one) => {
      const body = JSON.stringify(one.events[0]);
      response
        .writeHead([mine, issued].every((secret) => wrongWith(secret, body, one.headers) === "") ? 204 : 500)
        .end();
    };
    await alice.sets("for-sale", { item: "lute", price: 1 });
    await endpoint.hears("it", toldOf("for-sale", { item: "lute", price: 1 }));
    expect(String(endpoint.received[0]?.headers["webhook-signature"]).split(" ")).toHaveLength(2);
  });

  test("may move, and takes another format", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const [before, next] = [await anEndpoint(), await anEndpoint()];
    before.answer = answers(410);
    await alice.sets("for-sale", { item: "flute", price: 1 });
    const id = await hooks(bob, before, { target: alice.address });
    await until("its end", async () => (await shown(bob, id)).state === "disabled");
    const webhook = { url: next.url, format: "batch" };
    const moved = await bob.asks("PATCH", path(id), { body: { delivery: { webhook } } });
    expect(moved.body.delivery.webhook).toMatchObject({ ...webhook, state: "active" });
    await next.hears("it", toldOf("for-sale", { item: "flute", price: 1 }));
    expect(next.received[0]?.headers["content-type"]).toBe("application/cloudevents-batch+json");
  });

  test.each([
    ["a secret without its prefix", { secret: randomBytes(32).toString("base64") }, "secret"],
    ["a short secret", { secret: `whsec_${randomBytes(23).toString("base64")}` }, "secret"],
    ["a long secret", { secret: `whsec_${randomBytes(65).toString("base64")}` }, "secret"],
    ["a secret that is no base64", { secret: `whsec_${"_".repeat(40)}` }, "secret"],
    ["a URL with credentials", { url: "https://me:secret@example.com/" }, "url"],
    ["a file", { url: "file:///etc/passwd" }, "url"],
  ])("is refused with %s", async (_, hook, field) => {
    const bob = await world.registers("bob");
    const webhook = { url: "http://127.0.0.1:9/", ...hook };
    const answer = await bob.asks("POST", "/v1/subscriptions", {
      body: { target: bob.address, delivery: { webhook } },
    });
    expect(answer).toMatchObject({
      status: 422,
      body: { code: "bad-webhook", errors: [{ pointer: `/delivery/webhook/${field}` }] },
    });
    expect(answer.text.includes("secret@")).toBe(false);
  });
});

describe("an endpoint that never takes anything", () => {
  const hasty = { ...times, retryMs: [50, 50] };
  const world = aWorld("memory", { settings: { webhookAllowPrivate: true, push: { times: hasty } } });

  test("is given up at the end of the schedule, and what was given up is listed", async () => {
    const alice = await world.registers("alice");
    const bob = await world.registers("bob");
    const endpoint = await anEndpoint();
    endpoint.answer = answers(503);
    await alice.sets("for-sale", { item: "mast", price: 1 });
    const id = await hooks(bob, endpoint, { target: alice.address });
    await until("its end", async () => (await shown(bob, id)).state === "disabled");
    const log = await attempts(bob, id);
    expect(log.map(({ outcome, attempt, status }) => [outcome, attempt, status])).toEqual([
      ["failed", 3, 503],
      ["retrying", 2, 503],
      ["retrying", 1, 503],
    ]);
    expect(log[0]?.id).toBe(endpoint.received[0]?.id);
    expect((await shown(bob, id)).reason).toMatch(/after 3 attempts/);
  });
});

describe("between attempts that lie far apart", () => {
  const patient = { ...times, retryMs: [60_000] };
  const world = aWorld("memory", { settings: { webhookAllowPrivate: true, push: { times: patient } } });

  test("an endpoint is asked again as soon as there is news, and not before", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const [failing, good] = [await anEndpoint(), await anEndpoint()];
    failing.answer = answers(500);
    await alice.sets("for-sale", { item: "fork", price: 1 });
    const id = await hooks(bob, failing, { target: alice.address, properties: ["for-sale"] });
    await hooks(bob, good, { target: alice.address, properties: ["looking-for"] });
    await until("a failure", async () => (await shown(bob, id)).state === "failing");
    failing.answer = answers(204);
    const laterMs = performance.now() + 2 * times.gapMs;
    for (let n = 0; performance.now() < laterMs; n++) {
      await alice.sets("looking-for", { item: `spoon ${n}` });
      await good.hears("what is no news to the other", toldOf("looking-for", { item: `spoon ${n}` }));
    }
    expect(failing.received.length).toBe(1);
    await alice.sets("for-sale", { item: "fork", price: 2 });
    await failing.hears("the news", toldOf("for-sale", { item: "fork", price: 2 }));
    expect(failing.received.length).toBe(2);
  });
});

describe("a secret", () => {
  const written: string[] = [];
  const world = aWorld("memory", {
    settings: { webhookAllowPrivate: true, push: { times } },
    through: (log) => ({
      ...log,
      async append(facts) {
        for (const { subject, body } of facts) if (!subject.startsWith("a.")) written.push(body);
        return await log.append(facts);
      },
    }),
  });

  test("is in no log that brokers are fed from, nor in what is kept of attempts", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const endpoint = await anEndpoint();
    await alice.sets("for-sale", { item: "ring", price: 1 });
    const id = await hooks(bob, endpoint, { target: alice.address });
    await endpoint.hears("it", toldOf("for-sale", { item: "ring", price: 1 }));
    await until("progress", () => written.some((body) => body.includes('"delivered"')));
    await bob.asks("PATCH", path(id), { body: { delivery: { webhook: { rotate: true } } } });
    const secret = endpoint.secret.slice("whsec_".length);
    expect(written.some((body) => body.includes("whsec_") || body.includes(secret))).toBe(false);
  });
});

describe("the real program, killed and started again", () => {
  const world = aWorld("process", { env: { TIDINGS_WEBHOOK_ALLOW_PRIVATE: "true" } });

  test("goes on where an endpoint was", async () => {
    const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
    const endpoint = await anEndpoint();
    const id = await hooks(bob, endpoint, { target: alice.address });
    await alice.sets("for-sale", { item: "lamp", price: 1 });
    await endpoint.hears("it", toldOf("for-sale", { item: "lamp", price: 1 }));
    // What a broker remembers alone is not asked: it is killed a second after it has saved that.
    await until("a save", () => performance.now() > (endpoint.received[0]?.atMs ?? 0) + 1_500);
    await world.program.kill();
    await world.program.start();
    await alice.sets("for-sale", { item: "lamp", price: 2 });
    await endpoint.hears("what came later", toldOf("for-sale", { item: "lamp", price: 2 }));
    expect(endpoint.received.length).toBe(2);
    expect(await attempts(bob, id)).toHaveLength(2);
  });
});

describe("without leave to reach private addresses", () => {
  const world = aWorld("memory");
  test.each([
    "http://127.0.0.1:9/",
    "http://2130706433/",
    "http://[::ffff:10.0.0.1]/",
    "http://localhost:4280/",
  ])("no webhook leads to %s", async (url) => {
    const bob = await world.registers("bob");
    const body = { target: bob.address, delivery: { webhook: { url } } };
    expect(await bob.asks("POST", "/v1/subscriptions", { body })).toMatchObject({
      status: 422,
      body: { code: "bad-webhook", errors: [{ pointer: "/delivery/webhook/url" }] },
    });
  });
});

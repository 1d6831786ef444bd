// P10: politely blocked, granted nothing and not there at all are one to whoever asks, on every path: status, headers, body, time.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, type Line, openLine, type RequestParts, requestBytes } from "../../bench/lean-http.ts";
import { openEventStream } from "../conversations/event-stream.ts";
import { openSocket, type Told } from "../conversations/socket.ts";
import { aWorld, isFull, nodePath, type Person, propertyPath } from "../conversations/world.ts";
import { seeded, seedsOfRun } from "../simulation/random.ts";
import { portOf } from "./targets.ts";
import { likelihood, median } from "./times.ts";

const rounds = isFull ? 2_000 : 150;
const timeoutMs = isFull ? 600_000 : 90_000;
/** Medians this close, or measurements that chance alone sets apart as often as this, tell nobody anything. */
const closeMs = 0.1;
const chance = 0.001;
/** Medians of few rounds stray by as much as is allowed; those of the full size must hold at once. */
const retry = isFull ? 0 : 2;
const retryDelayMs = 50;

const world = aWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } });
const grantToOthers = { who: ["carol@localhost"], properties: ["*"], allow: ["read", "watch", "write"] };

/** All have handles of one length, so that answers that name them have as well. */
const hidings: Readonly<Record<string, (owner: Person, bob: Person) => Promise<void>>> = {
  "blocked-a": async (owner, bob) => await owner.blocks(bob),
  "blocked-b": async (owner) => await owner.blocks("@localhost"),
  "blocked-c": async (owner, bob) => {
    await owner.grants({ who: ["anyone"], properties: ["*"], allow: ["read", "watch", "write"] });
    await owner.blocks(bob);
  },
  ungranted: async (owner) => await owner.grants(),
  "ungrant-b": async (owner) => await owner.grants(grantToOthers),
};
const unknown = "no-one-is@localhost";
const hidden = Object.keys(hidings).map((handle) => [handle, `${handle}@localhost`] as const);

let bob: Person;
let line: Line;
beforeAll(async () => {
  bob = await world.registers("", { handle: "bob" });
  line = await openLine(portOf(world));
  for (const [handle, hide] of Object.entries(hidings)) {
    const owner = await world.registers("", { handle });
    await owner.patches({
      set: { travel: { value: { city: "Oslo" } }, "for-sale": { value: { item: "bike" } } },
    });
    await owner.creates(`${owner.address}/bike`);
    await owner.sets("travel", { city: "Rome" }, { at: `${owner.address}/bike` });
    await owner.blocks("anonymous");
    await hide(owner, bob);
  }
});

afterAll(() => line[Symbol.dispose]());

interface Shown {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

/** What is by chance or by time is no difference: ids, cursors, dates, the target itself. */
function shapeOf(text: string, address: string): string {
  return text
    .replaceAll(address, "TARGET")
    .replaceAll(encodeURIComponent(address), "TARGET")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/("(?:cursor|id|subscription)":)"[^"]+"/g, '$1"ID"')
    .replaceAll(/(\/v1\/subscriptions\/)[\w-]+/g, "$1ID");
}

function headersOf(head: string, address: string): string[] {
  const lines = shapeOf(head, address).toLowerCase().split("\r\n").slice(1);
  return lines.filter((one) => !/^(date|tidings-request-id):/.test(one)).sort();
}

/** Asks again while the store is too busy: that would be a difference by chance. */
async function send(parts: RequestParts): Promise<Answer> {
  for (;;) {
    const answer = await line.send(requestBytes(parts));
    if (answer.status !== 503) return answer;
    await delay(retryDelayMs);
  }
}

async function cursorNow(): Promise<string> {
  return JSON.parse((await send({ method: "GET", path: "/v1/poll", token: bob.token })).body).cursor;
}

async function asks(parts: RequestParts, address: string): Promise<Shown> {
  const { status, head, body } = await send(parts);
  return { status, headers: headersOf(head, address), body: shapeOf(body, address) };
}

type Request = (address: string, cursor: string) => Omit<RequestParts, "token">;

const get = (path: (address: string, cursor: string) => string): Request => {
  return (address, cursor) => ({ method: "GET", path: path(address, cursor) });
};
const post = (body: (address: string) => object): Request => {
  return (address) => ({ method: "POST", path: "/v1/subscriptions", body: body(address) });
};
/** Gone soon, so that no box is full. */
function message(fields: object): Request {
  const body = { contentType: "text/plain", content: "x".repeat(8_000), expiresIn: 1, ...fields };
  return (address) => ({ method: "POST", path: `${nodePath(address)}/messages`, body });
}
const at = encodeURIComponent;

const reads: Readonly<Record<string, Request>> = {
  "a node": get(nodePath),
  "names of a node": get((address) => `${nodePath(address)}?names=true`),
  "a selection": get((address) => `${nodePath(address)}?properties=travel,for-sale`),
  "a node and its children": get((address) => `${nodePath(address)}?depth=infinity`),
  "a child": get((address) => nodePath(`${address}/bike`)),
  "a property": get((address) => propertyPath(address, "travel")),
  "a public property": get((address) => propertyPath(address, "for-sale")),
  "a property that is not there": get((address) => propertyPath(address, "nothing")),
  "a property of a child": get((address) => propertyPath(`${address}/bike`, "travel")),
  "a property that may be known": (address) => ({
    method: "GET",
    path: propertyPath(address, "travel"),
    headers: { "if-none-match": "*" },
  }),
  "a poll": get((address) => `/v1/poll?watch=${at(address)}`),
  "a poll of one property": get((address) => `/v1/poll?watch=${at(`${address}:for-sale`)}`),
  "a poll of a child": get((address) => `/v1/poll?watch=${at(`${address}/bike`)}`),
  "a resumed poll": get((address, cursor) => `/v1/poll?watch=${at(address)}&after=${cursor}`),
};

const others: Readonly<Record<string, Request>> = {
  "a node, disclosing something": get((address) => `${nodePath(address)}?reveal=contact`),
  "a set": (address) => ({ method: "PUT", path: propertyPath(address, "travel"), body: { value: {} } }),
  "a conditional set": (address) => ({
    method: "PUT",
    path: propertyPath(address, "travel"),
    body: { value: {} },
    headers: { "if-match": '"1"' },
  }),
  "a set that does not fit": (address) => ({
    method: "PUT",
    path: propertyPath(address, "travel"),
    body: { value: 7 },
  }),
  "a removal": (address) => ({ method: "DELETE", path: propertyPath(address, "travel") }),
  "a patch": (address) => ({ method: "PATCH", path: nodePath(address), body: { set: { a: { value: 1 } } } }),
  "a new child": (address) => ({ method: "PUT", path: nodePath(`${address}/car`), body: { kind: "thing" } }),
  "a child that is there": (address) => ({
    method: "PUT",
    path: nodePath(`${address}/bike`),
    body: { kind: "thing" },
  }),
  "an end": (address) => ({ method: "DELETE", path: nodePath(`${address}/bike`) }),
  "a policy": get((address) => `${nodePath(address)}/policy`),
  "a list of blocks": get((address) => `${nodePath(address)}/blocks`),
  "a subscription": post((target) => ({ target })),
  "a subscription to one property": post((target) => ({ target, properties: ["for-sale"] })),
  "a subscription to a child": post((target) => ({ target: `${target}/bike`, depth: "1" })),
  "a message": message({}),
  "a message to a child": (address) => message({})(`${address}/bike`, ""),
  "a message to those who watch": message({ interest: { property: "for-sale" } }),
  "a message that does not fit": message({ contentType: "text" }),
  "a message that is too large": message({ content: "x".repeat(65_537) }),
  "a leased subscription": post((target) => ({ target, lease: { seconds: 60 }, filter: "value.n > 1" })),
};

describe.each(hidden)("%s", (_, address) => {
  test.each(Object.entries({ ...reads, ...others }))(
    "%s shows what it shows of nobody",
    async (_, request) => {
      const cursor = await cursorNow();
      const shown = async (of: string): Promise<Shown> =>
        await asks({ ...request(of, cursor), token: bob.token }, of);
      expect(await shown(address)).toEqual(await shown(unknown));
    },
  );

  test.each(Object.entries(reads))("%s shows a stranger what it shows of nobody", async (_, request) => {
    const cursor = await cursorNow();
    const shown = async (of: string): Promise<Shown> => await asks(request(of, cursor), of);
    expect(await shown(address)).toEqual(await shown(unknown));
  });

  test("a subscription stays the same wherever it is shown", async () => {
    const kept = async (target: string): Promise<unknown[]> => {
      const token = bob.token;
      const made = await send({ method: "POST", path: "/v1/subscriptions", token, body: { target } });
      const { id } = JSON.parse(made.body);
      const path = `/v1/subscriptions/${id}`;
      const all = await send({ method: "GET", path: "/v1/subscriptions", token });
      const { subscriptions } = JSON.parse(all.body);
      const listed = subscriptions.find((one: { id: string }) => one.id === id);
      const changed = {
        method: "PATCH",
        path,
        token,
        body: { properties: ["travel"], lease: { seconds: 60 } },
      };
      return [
        shapeOf(JSON.stringify(listed), target),
        await asks({ method: "GET", path, token }, target),
        await asks(changed, target),
        await asks({ method: "DELETE", path, token }, target),
        await asks({ method: "GET", path, token }, target),
      ];
    };
    expect(await kept(address)).toEqual(await kept(unknown));
  });

  test("a stream tells what it tells of nobody, also resumed", async () => {
    const cursor = await cursorNow();
    const told = async (target: string, after: string): Promise<unknown> => {
      const url = `${world.url}/v1/events?watch=${at(target)}${after}`;
      await using stream = await openEventStream(url, { authorization: `Bearer ${bob.token}` });
      const { event } = await stream.next();
      const headers = [...stream.headers].filter(([name]) => !/^(date|tidings-request-id)$/.test(name));
      return [headers, shapeOf(JSON.stringify(event), target), stream.waiting.length];
    };
    expect(await told(address, "")).toEqual(await told(unknown, ""));
    expect(await told(address, `&after=${cursor}`)).toEqual(await told(unknown, `&after=${cursor}`));
  });

  test("a socket answers and tells what it does of nobody, also resumed", async () => {
    await using socket = await openSocket(world.url, { token: bob.token });
    const { cursor } = await socket.hears("stream.live");
    const shape = (one: unknown, target: string): string =>
      shapeOf(JSON.stringify(one), target).replace(/"id":\d+/, '"id":0');
    const told = async (target: string, fields: object): Promise<unknown[]> => {
      const answer = await socket.asks("watch", { target, ...fields });
      const heard: Told[] = await socket.hearsThrough("stream.live");
      return [shape(answer, target), heard.map((one) => shape(one, target))];
    };
    const wrote = async (node: string): Promise<unknown[]> => {
      const commands = [
        await socket.asks("set", { node, name: "travel", value: {} }),
        await socket.asks("delete", { node, name: "travel" }),
        await socket.asks("patch", { node, remove: ["travel"] }),
      ];
      return commands.map((one) => shape(one, node));
    };
    for (const fields of [{}, { after: cursor }, { depth: "infinity" }, { properties: ["for-sale"] }])
      expect(await told(address, fields)).toEqual(await told(unknown, fields));
    expect(await wrote(address)).toEqual(await wrote(unknown));
  });
});

describe("the time that it takes", () => {
  const calls: Readonly<Record<string, Request>> = {
    "GET property": reads["a property"] as Request,
    "GET node": reads["a node"] as Request,
    "POST subscription": others["a subscription"] as Request,
    "PUT property": others["a set"] as Request,
    "POST message": others["a message"] as Request,
  };
  const [seed = 1] = seedsOfRun(1, 1);

  test.each(Object.entries(calls))(
    "of %s tells nobody apart",
    { timeout: timeoutMs, retry },
    async (call, request) => {
      const random = seeded(seed);
      const times: Readonly<Record<string, number[]>> = { "blocked-a": [], ungranted: [], unknown: [] };
      for (let round = -20; round < rounds; round++) {
        const kinds = Object.keys(times);
        while (kinds.length > 0) {
          const [kind] = kinds.splice(random.int(kinds.length), 1) as [string];
          // Whoever asks has asked for nobody of that name before.
          const target = kind === "unknown" ? `no-${round + 1_000_000}@localhost` : `${kind}@localhost`;
          const bytes = requestBytes({ ...request(target, ""), token: bob.token });
          const sentMs = performance.now();
          await line.send(bytes);
          if (round >= 0) times[kind]?.push(performance.now() - sentMs);
        }
      }
      const { unknown = [], ...known } = times;
      for (const [kind, taken] of Object.entries(known)) {
        const [one, other] = [median(taken), median(unknown)];
        const p = likelihood(taken, unknown);
        console.info(
          `${call}, ${rounds} rounds, seed ${seed}: ${kind} ${one.toFixed(3)} ms, unknown ${other.toFixed(3)} ms, p ${p.toFixed(4)}`,
        );
        const isTold = Math.abs(one - other) > closeMs && p <= chance;
        expect(isTold, `${call}: ${kind} is told apart`).toBe(false);
      }
    },
  );
});

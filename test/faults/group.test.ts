// A group of ten thousand: a message to all of them is one append, as is a watch of all of them, and whoever is connected hears in time.
import { beforeAll, expect, test } from "vitest";
import { register } from "../../bench/lean-http.ts";
import { openEventStream } from "../conversations/event-stream.ts";
import { aWorld, type Data, isFull, nodePath, type Person } from "../conversations/world.ts";
import { portOf } from "./targets.ts";

const members = isFull ? 10_000 : 500;
/** Members that are connected while the others are away. */
const connected = isFull ? 1_000 : 100;
const hearMsMax = 2_000;
const atOnce = 32;
const timeout = isFull ? 600_000 : 60_000;

const world = aWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } });
let alice: Person;
let group: string;
const accounts: { readonly address: string; readonly token: string }[] = [];

async function each<T>(all: readonly T[], act: (one: T, index: number) => Promise<unknown>): Promise<void> {
  const left = all.entries();
  const work = async (): Promise<void> => {
    for (const [index, one] of left) await act(one, index);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

const position = async (): Promise<number> => {
  const metrics = await (await fetch(`${world.url}/metrics`)).text();
  return Number(/^tidings_feed_position (\d+)/m.exec(metrics)?.[1]);
};

beforeAll(async () => {
  alice = await world.registers("alice");
  group = `${alice.address}/chess`;
  await alice.asks("PUT", nodePath(group), { body: { kind: "group" } });
  const port = portOf({ url: world.url });
  await each(Array.from({ length: members }), async (_, index) => {
    const account = await register(port, `member-${index}`);
    accounts.push(account);
    await alice.asks("PUT", `${nodePath(group)}/members/${encodeURIComponent(account.address)}`);
  });
}, timeout);

test("all of them are listed", async () => {
  const { body } = await alice.asks("GET", `${nodePath(group)}/members`);
  expect(body.members).toHaveLength(members);
});

test("a message is one append, and everybody who is connected hears it in time", { timeout }, async () => {
  await using stack = new AsyncDisposableStack();
  const streams: Awaited<ReturnType<typeof openEventStream>>[] = [];
  await each(accounts.slice(0, connected), async ({ token }) => {
    const stream = await openEventStream(`${world.url}/v1/events`, { authorization: `Bearer ${token}` });
    stack.use(stream);
    streams.push(stream);
    await stream.next();
  });
  const before = await position();
  const sentMs = performance.now();
  const body = { contentType: "text/plain", content: "Tonight at eight" };
  expect((await alice.asks("POST", `${nodePath(group)}/messages`, { body })).status).toBe(202);
  const heard = await Promise.all(streams.map(async (stream) => await stream.next()));
  const tookMs = performance.now() - sentMs;
  console.info(`${connected} of ${members} members heard after ${Math.round(tookMs)} ms`);
  expect(new Set(heard.map(({ event }) => event.data.content))).toEqual(new Set([body.content]));
  expect(tookMs).toBeLessThan(hearMsMax);
  expect((await position()) - before).toBe(1);
  const absent = world.knows("", accounts.at(-1)?.token as string);
  expect((await absent.asks("GET", "/v1/messages")).body.messages).toMatchObject([body]);
});

test("a watch of all of them is one append and one notice, and a change of one is told in time", {
  timeout,
}, async () => {
  const bob = await world.registers("bob");
  await each(accounts, async ({ address, token }, index) => {
    if (index % 10 === 0) await world.knows(address, token).sets("spot", index);
  });
  const before = await position();
  const made: Data = await bob.subscribes({ target: group, depth: "1", properties: ["spot"] });
  expect(made.state).toBe("active");
  const { snapshot } = await bob.listens();
  expect(snapshot).toHaveLength(Math.ceil(members / 10));
  expect((await position()) - before).toBe(2);
  const { address, token } = accounts.at(-1) as (typeof accounts)[number];
  const setMs = performance.now();
  await world.knows(address, token).sets("spot", "here");
  await bob.hears("property.changed", { node: address, value: "here" });
  expect(performance.now() - setMs).toBeLessThan(hearMsMax);
});

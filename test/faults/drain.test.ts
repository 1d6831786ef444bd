// P1, P3 and P5 at SIGTERM under load: the streams of one of two brokers are told to come back, and do, on the other one, with their cursor;
// none of them lost anything, nor did any writer, and the broker ends by itself with 0.

import { EventSource } from "eventsource";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { register } from "../../bench/lean-http.ts";
import { type Program, startProgram } from "../conversations/program.ts";
import { openSocket } from "../conversations/socket.ts";
import { isFull } from "../conversations/world.ts";
import { startIn, temporaryFolder, until } from "../store/embedded.ts";
import { Ledger } from "./ledger.ts";
import { type Load, startLoad } from "./load.ts";
import { type Found, faults, type Owner, portOf, read, singles, type Target } from "./targets.ts";

const streams = isFull ? 500 : 100;
/** Each is watched by five streams of either kind. */
const nodes = streams / 10;
const propertiesEach = 10;
const acksBefore = isFull ? 2_000 : 500;
const backMsMax = 10_000;
const endMsMax = 30_000;

interface Account extends Owner {
  readonly token: string;
}

/** One stream that comes back by itself, to whichever broker `at` is by then. */
interface Stream extends AsyncDisposable {
  readonly target: Target;
  readonly ledger: Ledger;
  /** When its snapshots were complete, by performance.now(). */
  readonly liveMs: readonly number[];
  /** How each of its connections ended, and where it then came back: as they are to be, when all is well. */
  readonly ends: readonly string[];
}

const at = { url: "" };
const stack = new AsyncDisposableStack();
let leaving: Program;
let staying: Program;
let alice: Account;
let all: Stream[];
let load: Load;
let exitCode: number | null;
let toldMs: number;
let endedMs: number;

beforeAll(async () => {
  const server = stack.use(await startIn(stack.use(await temporaryFolder()).path));
  const env = {
    TIDINGS_RATE_LIMIT: "off",
    TIDINGS_NATS_URL: server.url.replace("://", `://${server.token}@`),
  };
  const start = async (): Promise<Program> =>
    stack.use(await startProgram(stack.use(await temporaryFolder()).path, env));
  leaving = await start();
  staying = await start();
  at.url = leaving.url;
  alice = await register(portOf(leaving), "alice");
  const bob = await register(portOf(leaving), "bob");
  const targets = await singles(leaving, alice, nodes, propertiesEach);
  all = await Promise.all(
    Array.from({ length: streams }, async (_, index) => {
      const open = index % 2 === 0 ? openSource : openWebSocket;
      return stack.use(await open(bob, targets[(index >> 1) % nodes] as Target));
    }),
  );
  load = startLoad(at, alice, targets);
  stack.defer(async () => await load.stop());
  await load.more(acksBefore);

  at.url = staying.url;
  toldMs = performance.now();
  await load.during(async () => {
    exitCode = await leaving.stop();
    endedMs = performance.now();
  });
  await load.everyone();
  await until("the streams", () => all.every(({ liveMs }) => liveMs.length > 1)).catch(() => undefined);
  await load.stop();
});

afterAll(async () => await stack[Symbol.asyncDispose]());

test("the broker ends by itself, with 0", () => {
  expect(exitCode).toBe(0);
  expect(endedMs - toldMs).toBeLessThan(endMsMax);
  console.info(`${streams} streams: the broker ended ${Math.round(endedMs - toldMs)} ms after SIGTERM`);
});

describe.each([
  ["Server-Sent Events", 0, "told to come back after a while, ended in order, back with Last-Event-ID"],
  ["WebSocket", 1, "closed with 1012, back with its cursor"],
])("%s", (_, kind, wellEnded) => {
  const own = (): Stream[] => all.filter((_, index) => index % 2 === kind);

  test("every stream is told to come back", () => {
    expect(own().map(({ ends }) => ends)).toEqual(own().map(() => [wellEnded]));
  });

  test("every stream is back within 10 s", () => {
    const backMs = own().map(({ liveMs }) => (liveMs[1] ?? Infinity) - toldMs);
    expect(Math.max(...backMs)).toBeLessThan(backMsMax);
    console.info(`back after ${Math.round(Math.min(...backMs))} to ${Math.round(Math.max(...backMs))} ms`);
  });

  test("no stream has lost anything, or heard it backwards", async () => {
    const held = new Map<Target, Readonly<Record<string, Found>> | undefined>();
    for (const { target } of own()) held.set(target, await read(staying, alice, target.node));
    const missed = (): string[] =>
      own().flatMap(({ target, ledger }) =>
        Object.entries(held.get(target) ?? {})
          .filter(([name, { revision }]) => ledger.last.get(name)?.revision !== revision)
          .map(
            ([name, there]) => `${target.node} ${name}: ${there.value.n}, heard ${ledger.last.get(name)?.n}`,
          ),
      );
    await until("all of them", () => missed().length === 0).catch(() => undefined);
    expect(missed()).toEqual([]);
    expect(own().flatMap(({ ledger }) => ledger.wrong)).toEqual([]);
    expect(own().filter(({ ledger }) => ledger.resets > 0)).toEqual([]);
  });
});

test("every acknowledged write is there", async () => {
  expect(load.surprises).toEqual([]);
  expect(await faults(staying, alice, load.targets)).toEqual([]);
  console.info(`${load.acked} acknowledged, ${load.unanswered} unanswered`);
});

/** The client library reconnects by itself, as a browser does. */
async function openSource({ token }: Account, target: Target): Promise<Stream> {
  const ledger = new Ledger();
  const liveMs: number[] = [];
  const ends: string[] = [];
  const path = `/v1/events?watch=${encodeURIComponent(target.node)}`;
  let last = "";

  async function connect(_: unknown, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    const cursor = headers.get("last-event-id");
    const response = await fetch(at.url + path, { ...init, headers });
    if (response.status !== 200) return response;
    ledger.begin();
    if (ends.length > 0)
      ends.push(`${ends.pop()}, back ${cursor === null ? "without" : "with"} Last-Event-ID`);
    const decoder = new TextDecoder();
    const tap = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        last = (last + decoder.decode(bytes, { stream: true })).slice(-200);
        controller.enqueue(bytes);
      },
      // Called at an orderly end only.
      flush: () =>
        void ends.push(`${wasTold() ? "told" : "not told"} to come back after a while, ended in order`),
    });
    return new Response(response.body?.pipeThrough(tap) ?? null, response);
  }

  const wasTold = (): boolean => /\n\nretry: \d+\n\n$/.test(last);
  const source = new EventSource(leaving.url + path, { fetch: connect as never });
  for (const type of ["property.changed", "stream.live", "stream.reset"]) {
    source.addEventListener(`dev.tidings.${type}`, ({ data, lastEventId }) => {
      ledger.take({ event: JSON.parse(data), cursor: lastEventId });
      if (type === "stream.live") liveMs.push(performance.now());
    });
  }
  await until("a stream", () => ledger.isLive);
  return { target, ledger, liveMs, ends, [Symbol.asyncDispose]: async () => source.close() };
}

/** What a client of a socket does when it is closed with 1012: it comes back at once. */
async function openWebSocket({ token }: Account, target: Target): Promise<Stream> {
  const ledger = new Ledger();
  const liveMs: number[] = [];
  const ends: string[] = [];
  let close: () => Promise<void>;
  let isLeft = false;

  async function connect(): Promise<void> {
    const after = ledger.cursor === undefined ? "" : `&after=${ledger.cursor}`;
    const query = `?watch=${encodeURIComponent(target.node)}${after}`;
    const socket = await openSocket(at.url, { token, query });
    close = async () => await socket[Symbol.asyncDispose]();
    ledger.begin();
    if (ends.length > 0) ends.push(`${ends.pop()}, back ${after === "" ? "without" : "with"} its cursor`);
    void listen(socket);
  }

  async function listen(socket: Awaited<ReturnType<typeof openSocket>>): Promise<void> {
    try {
      for (;;) {
        const told = await socket.next();
        ledger.take(told);
        if (told.event.type === "dev.tidings.stream.live") liveMs.push(performance.now());
      }
    } catch {
      if (isLeft) return;
      ends.push(`closed with ${(await socket.closed).code}`);
      await connect();
    }
  }

  await connect();
  await until("a socket", () => ledger.isLive);
  return {
    target,
    ledger,
    liveMs,
    ends,
    async [Symbol.asyncDispose]() {
      isLeft = true;
      await close();
    },
  };
}

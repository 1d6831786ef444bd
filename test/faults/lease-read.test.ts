// A lease that ended while its keeper was stalled: no read and no stream through another broker shows the leased value.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, openLine, register, requestBytes } from "../../bench/lean-http.ts";
import { openEventStream } from "../conversations/event-stream.ts";
import { nodePath, propertyPath } from "../conversations/person.ts";
import { type Program, startProgram } from "../conversations/program.ts";
import { startIn, temporaryFolder } from "../store/embedded.ts";

const names = Array.from({ length: 12 }, (_, n) => `lease.${n}`);
const leaseSeconds = 2;
/** The clocks of two processes on one host, and milliseconds cut off on the wire. */
const toleranceMs = 3;
/** After the deadlines; another broker than the keeper sweeps only after 250 ms. */
const readAtMs = [5, 30, 90, 160];

interface Node {
  readonly properties: Readonly<Record<string, { readonly value: unknown }>>;
}

const stack = new AsyncDisposableStack();
let keeper: Program;
let other: Program;
let alice: { address: string; token: string };

/** A node of its own for each way to look: whoever looks first ends the leases for all others. */
const ways: [way: string, look: (node: string) => Promise<ReadonlyMap<string, unknown>>][] = [
  ["GET of a property", readEach],
  ["GET of a node", readNode],
  ["the snapshot of a stream", readSnapshot],
];

beforeAll(async () => {
  const server = stack.use(await startIn(stack.use(await temporaryFolder()).path));
  const env = { TIDINGS_NATS_URL: server.url.replace("://", `://${server.token}@`) };
  const start = async (): Promise<Program> =>
    stack.use(await startProgram(stack.use(await temporaryFolder()).path, env));
  keeper = await start();
  other = await start();
  alice = await register(portOf(keeper), "alice");
});

afterAll(async () => {
  // A stopped process does not hear SIGTERM.
  if (keeper) process.kill(keeper.pid, "SIGCONT");
  await stack[Symbol.asyncDispose]();
});

test("nobody is shown a leased value after its deadline", async () => {
  const nodes = ways.map((_, way) => `${alice.address}/way-${way}`);
  for (const node of nodes) {
    await ask(portOf(keeper), { ...as("PUT", nodePath(node)), body: { kind: "thing" } });
  }
  const until = await Promise.all(
    nodes.flatMap((node) => names.map((name, n) => set(node, name, n % 2 === 0))),
  );
  process.kill(keeper.pid, "SIGSTOP");
  const before = await readNode(nodes[0] as string);
  expect(Date.now(), "setting and reading them took too long").toBeLessThan(Math.min(...until));
  expect([...before.values()], "before their deadlines they are there").toEqual(names.map(() => "on"));

  const last = Math.max(...until);
  const shown: string[] = [];
  await Promise.all(
    ways.flatMap(([way, look], index) =>
      readAtMs.map(async (afterMs) => {
        await delay(Math.max(0, last + afterMs - Date.now()));
        const lateMs = Date.now() - last;
        expect(lateMs).toBeGreaterThan(toleranceMs);
        for (const [name, value] of await look(nodes[index] as string)) {
          if (value === "on") shown.push(`${way} ${name}: ${lateMs} ms after the last deadline`);
        }
      }),
    ),
  );
  expect(shown).toEqual([]);
});

async function readEach(node: string): Promise<ReadonlyMap<string, unknown>> {
  const values = new Map<string, unknown>();
  await Promise.all(
    names.map(async (name) => {
      using line = await openLine(portOf(other));
      const { status, body } = await line.send(requestBytes(as("GET", propertyPath(node, name))));
      expect([200, 404]).toContain(status);
      if (status === 200) values.set(name, JSON.parse(body).value);
    }),
  );
  return values;
}

async function readNode(node: string): Promise<ReadonlyMap<string, unknown>> {
  const { properties } = await ask<Node>(portOf(other), as("GET", nodePath(node)));
  return new Map(Object.entries(properties).map(([name, { value }]) => [name, value]));
}

/** What the stream tells first of each property. */
async function readSnapshot(node: string): Promise<ReadonlyMap<string, unknown>> {
  const values = new Map<string, unknown>();
  const url = `${other.url}/v1/events?watch=${encodeURIComponent(node)}`;
  await using stream = await openEventStream(url, { authorization: `Bearer ${alice.token}` });
  for (;;) {
    const { event } = await stream.next();
    if (event.type.endsWith("stream.live")) return values;
    if (!values.has(event.data.name)) values.set(event.data.name, event.data.value);
  }
}

/** @returns the deadline, in ms since 1970 */
async function set(node: string, name: string, hasDefault: boolean): Promise<number> {
  const lease = hasDefault ? { seconds: leaseSeconds, default: "off" } : { seconds: leaseSeconds };
  const { lease: granted } = await ask<{ lease: { until: string } }>(portOf(keeper), {
    ...as("PUT", propertyPath(node, name)),
    body: { value: "on", lease },
  });
  return Date.parse(granted.until);
}

function as(method: string, path: string): { method: string; path: string; token: string } {
  return { method, path, token: alice.token };
}

function portOf({ url }: Program): number {
  return Number(new URL(url).port);
}

// Ten thousand leases that end together: none early, each told once, and the last of them in time.
import { expect, it } from "vitest";
import { type Heard, openEventStream } from "../conversations/event-stream.ts";
import { isFull, openWorld, type Person, wallMs } from "../conversations/world.ts";
import { until } from "../store/embedded.ts";

const leases = isFull ? 10_000 : 1_000;
/** The bound is the broker's; a machine that is busy with something else may miss it once. */
const retry = 2;
const perNode = 500;
const lateMsMax = 250;
/** The clocks of two processes on one host, and milliseconds cut off on the wire. */
const toleranceMs = 2;

it(`${leases} leases that end together end in time`, { retry, timeout: 120_000 }, async () => {
  await using world = await openWorld("process");
  const alice = await world.registers("alice");
  const bob = await world.registers("bob");
  const nodes = await Promise.all(
    Array.from({ length: leases / perNode }, async (_, n) => {
      const node = `${alice.address}/node-${n}`;
      await alice.creates(node);
      return node;
    }),
  );
  const watch = nodes.map((node) => `watch=${encodeURIComponent(node)}`).join("&");
  await using stream = await openEventStream(`${world.url}/v1/events?${watch}`, {
    authorization: `Bearer ${bob.token}`,
  });

  // All of them get the same deadline, give or take the time that setting them takes.
  const endMs = Date.now() + (isFull ? 15_000 : 6_000);
  const untilMs = new Map<string, number>();
  for (const node of nodes) {
    for (const property of await setAll(alice, node, endMs)) {
      untilMs.set(`${property.node} ${property.name}`, Date.parse(property.lease?.until as string));
    }
  }
  const lastUntilMs = Math.max(...untilMs.values());
  expect(Date.now(), "setting them took too long").toBeLessThan(Math.min(...untilMs.values()));

  // Looking at each event as it comes would make this reader the slowest of all.
  const isEnd = ({ event }: Heard): boolean => event.data.reason === "expired";
  let checked = 0;
  let count = 0;
  await until("every lease to end", () => {
    while (checked < stream.waiting.length) count += Number(isEnd(stream.waiting[checked++] as Heard));
    return count >= leases;
  });
  const ended = new Map<string, number>();
  for (const { event, atMs } of stream.waiting.filter(isEnd)) {
    const key = `${event.data.node} ${event.data.name}`;
    expect(ended.has(key), `${key} ended twice`).toBe(false);
    expect(event.data.value).toEqual({ status: "offline" });
    ended.set(key, wallMs(atMs));
  }
  const lateMs = [...ended].map(([key, atMs]) => atMs - (untilMs.get(key) as number)).sort((a, b) => a - b);
  const at = (share: number): number =>
    lateMs[Math.min(lateMs.length - 1, Math.floor(lateMs.length * share))] as number;
  const spreadMs = lastUntilMs - Math.min(...untilMs.values());
  console.log(
    `${leases} leases within ${spreadMs} ms: late p50 ${at(0.5).toFixed(0)} ms, p99 ${at(0.99).toFixed(0)} ms, ` +
      `most ${at(1).toFixed(0)} ms; earliest ${at(0).toFixed(1)} ms`,
  );
  expect(at(0), "a lease ended early").toBeGreaterThan(-toleranceMs);
  expect(at(0.99)).toBeLessThanOrEqual(lateMsMax);
});

async function setAll(alice: Person, node: string, endMs: number) {
  const seconds = (endMs - Date.now()) / 1000;
  const lease = { seconds, default: { status: "offline" } };
  const set = Object.fromEntries(
    Array.from({ length: perNode }, (_, n) => [`p${n}`, { value: { status: "online", n }, lease }]),
  );
  const { properties } = await alice.patches({ set }, { at: node });
  return Object.values(properties) as Awaited<ReturnType<Person["sets"]>>[];
}

// Expiry: thousands of leases that end together, and how late a watcher of all of them hears of each.
// Never early, exactly once each; the broker syncs every end before it tells.
import { mkdtemp, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, register } from "./lean-http.ts";
import { cpuSeconds, othersBusy, type RunningBroker, startBroker, untilQuiet } from "./running.ts";
import { median, ms, percentile, table } from "./table.ts";

const leases = 10_000;
const perNode = 500;
const rounds = 3;
/** How long setting them all may take. */
const aheadMs = 12_000;
/** Two processes read the same host's clock; the broker's drops fractions of a millisecond. */
const toleranceMs = 2;
const lateMsMax = 250;

interface Ended {
  readonly lateMs: readonly number[];
  readonly spreadMs: number;
  readonly brokerCpuSeconds: number;
  readonly others: number;
}

/** @returns true if none was early and the bounds of performance.md hold */
export async function benchExpiry(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const broker = stack.use(await startBroker({ dataDir: join(folder, "data") }));
  const alice = await register(broker.port, "alice");
  const bob = await register(broker.port, "bob");
  const nodes = Array.from({ length: leases / perNode }, (_, index) => `${alice.address}/n${index}`);
  for (const node of nodes) {
    await ask(broker.port, {
      method: "PUT",
      path: pathOf(node),
      token: alice.token,
      body: { kind: "thing" },
    });
  }
  const ended: Ended[] = [];
  for (let round = 0; round < rounds; round++) {
    await untilQuiet();
    ended.push(await storm(broker, alice.token, bob.token, nodes));
  }
  return report(ended);
}

async function storm(
  broker: RunningBroker,
  owner: string,
  watcher: string,
  nodes: readonly string[],
): Promise<Ended> {
  using stream = await openStream(broker, watcher, nodes);
  const endMs = Date.now() + aheadMs;
  const until = new Map<string, number>();
  for (const node of nodes) {
    const lease = { seconds: (endMs - Date.now()) / 1000, default: { status: "offline" } };
    const names = Array.from({ length: perNode }, (_, index) => `p${index}`);
    const set = Object.fromEntries(names.map((name) => [name, { value: { status: "online" }, lease }]));
    const { properties } = await ask<Patched>(broker.port, {
      method: "PATCH",
      path: pathOf(node),
      token: owner,
      body: { set },
    });
    for (const { name, lease } of Object.values(properties))
      until.set(`${node} ${name}`, Date.parse(lease.until));
  }
  const deadlines = [...until.values()];
  if (Date.now() > Math.min(...deadlines)) throw new Error("setting the leases took longer than they last");
  const others = othersBusy([broker.pid, await broker.storePid()]);
  const cpuBefore = cpuSeconds(broker.pid);
  const heard = await stream.ends(until.size);
  const lateMs: number[] = [];
  const told = new Set<string>();
  for (const { key, atMs } of heard) {
    const deadline = until.get(key);
    if (deadline === undefined || told.has(key)) throw new Error(`${key} ended twice, or was never leased`);
    told.add(key);
    lateMs.push(atMs - deadline);
  }
  return {
    lateMs,
    spreadMs: Math.max(...deadlines) - Math.min(...deadlines),
    brokerCpuSeconds: cpuSeconds(broker.pid) - cpuBefore,
    others: others(),
  };
}

interface Patched {
  readonly properties: Readonly<
    Record<string, { readonly name: string; readonly lease: { readonly until: string } }>
  >;
}

interface Heard {
  readonly key: string;
  readonly atMs: number;
}

const needle = '"reason":"expired"';

/** A stream whose pieces are kept as they come and read when all is over, so that the reader is not what is measured. */
async function openStream(broker: RunningBroker, token: string, nodes: readonly string[]) {
  const query = nodes.map((node) => `watch=${encodeURIComponent(node)}`).join("&");
  const pieces: { readonly text: string; readonly atMs: number }[] = [];
  let count = 0;
  let tail = "";
  let wanted = Number.POSITIVE_INFINITY;
  const done = Promise.withResolvers<void>();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${broker.url}/v1/events?${query}`, { headers: { authorization: `Bearer ${token}` } }, resolve).on(
      "error",
      reject,
    );
  });
  if (response.statusCode !== 200) throw new Error(`no stream: ${response.statusCode}`);
  response.setEncoding("utf8");
  response.on("data", (text: string) => {
    pieces.push({ text, atMs: performance.timeOrigin + performance.now() });
    const fresh = tail + text;
    count += fresh.split(needle).length - 1;
    // A needle that is cut in two is found in the next piece, and none twice.
    tail = fresh.slice(fresh.length - needle.length + 1);
    if (count >= wanted) done.resolve();
  });
  response.on("close", () => done.reject(new Error("the stream ended")));
  // Nobody waits for it when setting the leases has failed.
  done.promise.catch(() => undefined);
  return {
    async ends(expected: number): Promise<Heard[]> {
      wanted = expected;
      if (count >= wanted) done.resolve();
      await done.promise;
      return endsIn(pieces);
    },
    [Symbol.dispose]: () => void response.destroy(),
  };
}

function endsIn(pieces: readonly { readonly text: string; readonly atMs: number }[]): Heard[] {
  const heard: Heard[] = [];
  let text = "";
  for (const piece of pieces) {
    const blocks = (text + piece.text).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const json = /^data: (.*)$/m.exec(block)?.[1];
      const data = json === undefined ? undefined : JSON.parse(json).data;
      if (data?.reason === "expired") heard.push({ key: `${data.node} ${data.name}`, atMs: piece.atMs });
    }
  }
  return heard;
}

function pathOf(node: string): string {
  return `/v1/nodes/${encodeURIComponent(node)}`;
}

function report(ended: readonly Ended[]): boolean {
  const all = ended.map(({ lateMs }) => ({
    p50: percentile(lateMs, 0.5),
    p99: percentile(lateMs, 0.99),
    most: Math.max(...lateMs),
    early: lateMs.filter((late) => late < -toleranceMs).length,
  }));
  console.log(
    `\n${leases} leases end together; one watcher of all ${leases / perNode} nodes; ${rounds} rounds.`,
  );
  console.log(
    table(
      [
        "round",
        "p50 ms late",
        "p99 ms late",
        "most",
        "early",
        "deadlines within ms",
        "broker CPU s",
        "others",
      ],
      ended.map(({ spreadMs, brokerCpuSeconds, others }, round) => {
        const { p50, p99, most, early } = all[round] as (typeof all)[number];
        const figures = [ms(p50), ms(p99), ms(most), String(early), String(spreadMs)];
        return [String(round + 1), ...figures, brokerCpuSeconds.toFixed(2), others.toFixed(2)];
      }),
    ),
  );
  const early = all.reduce((sum, round) => sum + round.early, 0);
  const p99 = median(all.map((round) => round.p99));
  console.log(`${early === 0 ? "ok  " : "MISS"} early, must be 0: ${early}`);
  console.log(`${p99 <= lateMsMax ? "ok  " : "MISS"} median of p99, must be <= ${lateMsMax} ms: ${ms(p99)}`);
  return early === 0 && p99 <= lateMsMax;
}

if (import.meta.main) process.exitCode = (await benchExpiry()) ? 0 : 1;

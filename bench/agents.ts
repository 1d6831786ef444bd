// The host of agents: how many events a second go through one trivial agent, from the log to its handler in a thread and back.
// The events are changes that lie in the log before it is enabled, so that whoever writes them takes nothing away from it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ask, register } from "./lean-http.ts";
import { cpuSeconds, othersBusy, type RunningBroker, startBroker, untilQuiet } from "./running.ts";
import { median, table, whole } from "./table.ts";

const events = 20_000;
const perNode = 500;
const rounds = 3;
const perSecondMin = 5_000;
const installed = fileURLToPath(new URL("./agents-installed", import.meta.url));

/** @returns true if the bound holds */
export async function benchAgents(): Promise<boolean> {
  const dataDir = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(dataDir, { recursive: true, force: true }));
  await using broker = await startBroker({ dataDir, env: { TIDINGS_AGENTS: installed } });
  const { port } = broker;
  const alice = await register(port, "alice");
  const { token } = alice;
  for (let at = 0; at < events / perNode; at++) {
    const node = encodeURIComponent(`${alice.address}/n${at}`);
    await ask(port, { method: "PUT", path: `/v1/nodes/${node}`, token, body: { kind: "thing" } });
    for (let from = 0; from < perNode; from += 100) {
      const names = Array.from({ length: 100 }, (_, index) => `bench.p${from + index}`);
      const set = Object.fromEntries(names.map((name) => [name, { value: { city: "Oslo", at } }]));
      await ask(port, { method: "PATCH", path: `/v1/nodes/${node}`, token, body: { set } });
    }
  }
  const rates: number[] = [];
  const rows: string[][] = [];
  for (let round = 1; round <= rounds; round++) {
    await untilQuiet([broker.pid]);
    const before = await handled(broker);
    const busy = othersBusy([broker.pid, await broker.storePid()]);
    const cpuBefore = cpuSeconds(broker.pid);
    const { id } = await ask<{ id: string }>(port, {
      method: "POST",
      path: "/v1/agents",
      token,
      body: { agent: "trivial", config: {} },
    });
    let began: number | undefined;
    for (;;) {
      const done = (await handled(broker)) - before;
      // From its first events on: a thread that starts is no throughput.
      if (done > 0) began ??= performance.now();
      if (done >= events) break;
      await delay(5);
    }
    const perSecond = events / ((performance.now() - (began ?? 0)) / 1000);
    rates.push(perSecond);
    const cpuEach = ((cpuSeconds(broker.pid) - cpuBefore) * 1e6) / events;
    rows.push([String(round), whole(perSecond), whole(cpuEach), busy().toFixed(1)]);
    await ask(port, { method: "DELETE", path: `/v1/agents/${id}`, token });
  }
  console.log(`\n${whole(events)} events through one agent whose handler does nothing.`);
  console.log(table(["round", "events/s", "CPU an event, µs", "others, cores"], rows));
  const rate = median(rates);
  console.log(
    `${rate >= perSecondMin ? "ok  " : "MISS"} events/s, must be >= ${whole(perSecondMin)}: ${whole(rate)}`,
  );
  return rate >= perSecondMin;
}

/** Runs that ended well, of all agents. */
async function handled({ url }: RunningBroker): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^tidings_agent_runs_total\{state="done"\} (\d+)/m.exec(text)?.[1] ?? 0);
}

// Threads: however much an agent says, the broker is given no more of it than it has room for.
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { AgentEvent } from "../../agents/events.ts";
import type { Port } from "../../agents/port.ts";
import { startThread } from "../../services/agents/thread.ts";
import { openThreads, usualThreadLimits } from "../../services/agents/threads.ts";

const threads = openThreads({ ...usualThreadLimits, niceness: 0 }, () => undefined);
afterAll(async () => await threads[Symbol.asyncDispose]());

const run = { id: "1", hops: 0 };
const travel = {
  type: "property.changed",
  id: "1",
  time: "2026-12-24T18:00:00.000Z",
  node: "alice@localhost",
  name: "travel",
  value: 1,
  revision: 1,
  by: "alice@localhost",
  reason: "set",
  hops: 0,
} satisfies AgentEvent;

test.each([
  ["many calls that are large together", { calls: 100, characters: 500_000 }, "it floods"],
  ["a call that is large by itself", { calls: 1, characters: 5_000_000 }, "at most 2 MiB at once"],
])("an agent that makes %s fails, before they reach the broker", async (_, config, why) => {
  let reached = 0;
  const port = (async (_run, _call, takes) => {
    reached += JSON.stringify(takes).length;
    return await new Promise<never>(() => undefined);
  }) satisfies Port;
  const file = fileURLToPath(new URL("./installed/shouts.ts", import.meta.url));
  const who = { id: "shouts", node: "alice@localhost/shouts", owner: "alice@localhost" };
  using thread = await startThread({ is: "run", file, config, who }, port, threads);
  await expect(thread.handle(travel, run, new AbortController().signal)).rejects.toThrow(why);
  expect(reached).toBeLessThanOrEqual(32 * 1024 * 1024);
});

test.each([
  ["what is no word", "nothing", "no word"],
  ["more than it was asked for", "much", "it floods"],
])("an agent that says %s fails, and ends nobody else", async (_, what, why) => {
  const port = (async () => await new Promise<never>(() => undefined)) satisfies Port;
  const begins = async (name: string, config: Record<string, string | number>) => {
    const file = fileURLToPath(new URL(`./installed/${name}.ts`, import.meta.url));
    const who = { id: name, node: `alice@localhost/${name}`, owner: "alice@localhost" };
    return await startThread({ is: "run", file, config, who }, port, threads);
  };
  using good = await begins("shouts", { calls: 0, characters: 0 });
  using thread = await begins("babbles", { what });
  await expect(thread.handle(travel, run, new AbortController().signal)).rejects.toThrow(why);
  expect(await good.handle(travel, run, new AbortController().signal)).toBe("handled");
});

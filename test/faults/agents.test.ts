// P13, P14 for agents: killed with its broker in the middle of its work, an agent handles every event, does no remembered step
// twice, and keeps the order of each node; a timer fires once, also one that fell due while everything was down.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { at, aWorld, isFull, nodePath, type Person } from "../conversations/world.ts";
import { until } from "../store/embedded.ts";

const nodes = isFull ? 20 : 4;
const perNode = isFull ? 500 : 40;
const kills = isFull ? 5 : 2;
const timerMs = isFull ? 120_000 : 3_000;
const timeout = isFull ? 600_000 : 90_000;
const installed = fileURLToPath(new URL("../agents/installed", import.meta.url));

describe("an agent beside a broker that is killed", () => {
  const world = aWorld("process", {
    env: { TIDINGS_RATE_LIMIT: "off", TIDINGS_WEBHOOK_ALLOW_PRIVATE: "true", TIDINGS_AGENTS: installed },
  });

  it("handles every event, does no remembered step twice, and keeps the order of each node", {
    timeout,
  }, async () => {
    const { program } = world;
    const alice = await world.registers("alice");
    await using sink = await aSink();
    const places = Array.from({ length: nodes }, (_, index) => `${alice.address}/node-${index}`);
    for (const place of places) await alice.asks("PUT", nodePath(place), { body: { kind: "thing" } });
    await runs(alice, "counts", { sink: sink.url });
    const total = nodes * perNode;
    let written = 0;
    const writing = Promise.all(
      places.map(async (place) => {
        for (let n = 0; n < perNode; n++) {
          const path = `${nodePath(place)}/properties/n.${n}`;
          // Sent again until it is answered: it is the same value.
          await until("the broker to take it", async () => {
            const { status } = await alice.asks("PUT", path, { body: { value: n } });
            return status === 200 || status === 201;
          });
          written++;
        }
      }),
    );
    for (let kill = 1; kill <= kills; kill++) {
      const enough = Math.floor((total * kill) / (kills + 1));
      await until(
        "enough to be told",
        () => sink.told.size >= Math.min(enough, written * 0.7) && sink.told.size > 0,
      );
      await program.kill();
      await program.start();
    }
    await writing;
    await within(300_000, () => sink.told.size === total);
    expect(sink.told.size).toBe(total);
    // What was answered and kept is not sent again; what was cut off on its way comes again under the same key.
    expect(sink.keys).toBe(total);
    expect(sink.doneAgain).toEqual([]);
    for (const order of sink.order.values()) expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it("fires a timer once, also one that fell due while everything was down", { timeout }, async () => {
    const { program } = world;
    const alice = await world.registers("alice");
    const agent = await runs(alice, "wakes", { ms: timerMs });
    const state = async () =>
      (await alice.asks("GET", `/v1/agents/${agent.id}/state`)).body?.state as
        | { readonly set?: number; readonly fired?: Record<string, { name: string; late: number }> }
        | undefined;
    /** The names of the timers that fired, one for each firing. */
    const fired = async () => Object.values((await state())?.fired ?? {}).map(({ name }) => name);
    await until("the timers to be set", async () => (await state())?.set === 2);
    await program.kill();
    await at(Date.now() + 1_000);
    await program.start();
    await until("the one that fell due to have fired", async () => (await fired()).includes("soon"));
    await within(timerMs + 20_000, async () => (await fired()).includes("later"));
    expect(await fired()).toEqual(["soon", "later"]);
    const before = (await state())?.fired ?? {};
    for (const { late } of Object.values(before)) expect(late).toBeGreaterThanOrEqual(0);
    // Whoever is killed while a timer ends handles it once more.
    await until("both to be done with", async () => {
      const { body } = await alice.asks("GET", `/v1/agents/${agent.id}/runs`);
      const runs = (body?.runs ?? []) as { state: string; event: { type: string } }[];
      return runs.filter(({ state, event }) => state === "done" && event.type === "timer").length === 2;
    });
    await program.kill();
    await program.start();
    // Whatever is still to come of before comes at the start.
    await runs(alice, "echo", { of: alice.address });
    await alice.sets("travel", { city: "Oslo" });
    await until("another agent to have heard", async () => (await alice.sees(alice, "echo")) !== undefined);
    expect((await state())?.fired).toEqual(before);
  });

  it("tells the run of a timer again that had set itself anew when it was cut off", { timeout }, async () => {
    const { program } = world;
    const alice = await world.registers("alice");
    const agent = await runs(alice, "renews", {});
    const state = async () =>
      (await alice.asks("GET", `/v1/agents/${agent.id}/state`)).body?.state as
        | { readonly began?: Record<string, number>; readonly ended?: string }
        | undefined;
    await until("the timer to have set itself anew", async () => (await state())?.began !== undefined);
    await program.kill();
    await program.start();
    await alice.sets("go", true);
    await until("its run to end", async () => (await state())?.ended !== undefined, 30_000);
    const { began = {}, ended } = (await state()) ?? {};
    expect(began).toEqual({ [ended as string]: 2 });
  });
});

/** Counts what it is told by the key of the step; what comes again after it was answered and the step was over was done twice. */
async function aSink() {
  const told = new Set<string>();
  const keys = new Set<string>();
  const over = new Set<string>();
  const doneAgain: string[] = [];
  const order = new Map<string, number[]>();
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    request.on("end", () => {
      const { node, name, value } = JSON.parse(text) as { node: string; name: string; value: number };
      const event = `${node} ${name}`;
      if (request.url?.endsWith("?after")) over.add(event);
      else {
        if (over.has(event)) doneAgain.push(event);
        if (!told.has(event)) order.set(node, [...(order.get(node) ?? []), value]);
        told.add(event);
        keys.add(String(request.headers["idempotency-key"]));
      }
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sink`,
    told,
    doneAgain,
    order,
    get keys() {
      return keys.size;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Asks again until it is so, or the time is up. */
async function within(ms: number, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await isSo()) && performance.now() < deadline) await at(Date.now() + 20);
}

async function runs(who: Person, agent: string, config: object): Promise<{ id: string; node: string }> {
  const { status, body } = await who.asks("POST", "/v1/agents", { body: { agent, config } });
  expect([status, body]).toEqual([201, expect.objectContaining({ state: "running" })]);
  return body as { id: string; node: string };
}

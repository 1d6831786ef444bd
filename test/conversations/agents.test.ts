// Agents that the broker runs: set up by their owner, working in their own name, seen by those whom they watch.
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { until } from "../store/embedded.ts";
import { aWorld, blockPath, longStages, nodePath, type Person } from "./world.ts";

/** Agents give way to all else, so that where all else is tests they take their time. */
const busyMs = 60_000;

for (const stage of longStages) {
  describe(`agents on the ${stage} log`, () => {
    const world = aWorld(stage, {
      settings: {
        agentPaths: [fileURLToPath(new URL("../agents/installed", import.meta.url))],
        agentLimits: {
          thread: {
            memoryMb: 48,
            patienceMs: 1_500,
            loadMs: 30_000,
            callsAtOnce: 64,
            callsMax: 10_000,
            // Other tests would take the machine from those that give way.
            niceness: 0,
          },
          backoffMs: [50, 100, 200],
        },
      },
    });

    if (stage === longStages[0])
      it("are listed with what they declare", { timeout: busyMs }, async () => {
        const alice = await world.registers("alice");
        const { body } = await alice.asks("GET", "/v1/agents");
        const names = (body.agents as { agent: string }[]).map(({ agent }) => agent);
        expect(names).toEqual(expect.arrayContaining(["away", "digest", "echo"]));
        expect(body.running).toEqual([]);
      });

    it("react to what their owner may see, in their own name", async () => {
      const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
      const agent = await runs(alice, "echo", { of: bob.address });
      await bob.sets("travel", { city: "Oslo" });
      await until("the agent to have echoed it", async () => {
        const { status, body } = await alice.asks("GET", `${nodePath(alice.address)}/properties/echo`);
        return status === 200 && body.value.city === "Oslo" && body.by === agent.node;
      });
      const { body } = await bob.asks("GET", `${nodePath(bob.address)}/watchers`);
      expect(body.watchers).toContainEqual(
        expect.objectContaining({ watcher: agent.node, state: "active", via: "agent" }),
      );
      await until("its runs to be listed", async () => {
        const { body } = await alice.asks("GET", `/v1/agents/${agent.id}/runs`);
        return (body.runs as { state: string }[]).some(({ state }) => state === "done");
      });
    });

    it.each(["their owner", "them"])("are silent once whom they watch has blocked %s", async (whom) => {
      const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
      const agent = await runs(alice, "echo", { of: bob.address });
      const blocked = whom === "them" ? agent.node : alice.address;
      const carol = await world.registers("carol");
      await runs(carol, "echo", { of: bob.address });
      await bob.sets("travel", { city: "Oslo" });
      const echoed = async () =>
        (await alice.asks("GET", `${nodePath(alice.address)}/properties/echo`)).body?.value?.city;
      await until("the agent to have echoed it", async () => (await echoed()) === "Oslo");
      await bob.blocks(blocked);
      await bob.sets("travel", { city: "Bergen" });
      await echoes(carol, "Bergen");
      expect(await echoed()).toBe("Oslo");
      await bob.sets("travel", { city: "Tromsø" });
      // The block of an agent alone is none of its owner.
      expect(await alice.sees(bob, "travel")).toEqual(whom === "them" ? { city: "Tromsø" } : undefined);
      await bob.asks("DELETE", blockPath(bob.address, blocked));
      const seen = new Set<string>();
      await until("the agent to hear again", async () => {
        const city = await echoed();
        if (city) seen.add(city);
        return city === "Tromsø";
      });
      expect(seen).not.toContain("Bergen");
    });

    if (stage === longStages[0])
      it.each([
        ["loops", /endless loop/],
        ["leaks", /more memory/],
        ["hoards", /more memory/],
        ["kills", /its process ended: SIGKILL/],
      ])(
        "fail with the reason where their module %s, and leave others alone",
        { timeout: busyMs + 30_000 },
        async (kind, why) => {
          const alice = await world.registers("alice");
          const config = { of: alice.address };
          // Whenever the process of both ends, this one is at work there.
          const good = await runs(alice, "echo", { ...config, afterMs: kind === "kills" ? 1_500 : 0 });
          const bad = await runs(alice, kind, config);
          await alice.sets("travel", { city: "Oslo" });
          const isFailed = async (): Promise<boolean> => {
            const { body } = await alice.asks("GET", `/v1/agents/${bad.id}`);
            return body.state === "failed" && why.test(body.reason);
          };
          await until("it to be shown as failed", isFailed, busyMs);
          expect((await alice.asks("GET", `/v1/agents/${good.id}`)).body.state).toBe("running");
          await echoes(alice, "Oslo");
        },
      );

    if (stage === longStages[0])
      it("are listed as broken where their module throws at load, and refused where the config does not fit", async () => {
        const alice = await world.registers("alice");
        const { agents } = (await alice.asks("GET", "/v1/agents")).body;
        const broken = (agents as { agent: string; broken?: string }[]).filter(({ broken }) => broken);
        expect(broken).toEqual([
          expect.objectContaining({
            agent: "throws-at-load",
            broken: expect.stringContaining("no such luck"),
          }),
        ]);
        const unfit = await alice.asks("POST", "/v1/agents", { body: { agent: "echo", config: { of: 7 } } });
        expect([unfit.status, unfit.body.errors[0].pointer]).toEqual([422, "/config/of"]);
        const unknown = await alice.asks("POST", "/v1/agents", { body: { agent: "nobody", config: {} } });
        expect([unknown.status, unknown.body.errors[0].pointer]).toEqual([400, "/agent"]);
      });

    it("keep what they could not handle, and handle it when they are told to", async () => {
      const alice = await world.registers("alice");
      const agent = await runs(alice, "stumbles", {});
      await alice.sets("travel", { city: "Oslo" });
      const letters = async () =>
        (await alice.asks("GET", `/v1/agents/${agent.id}/dead-letters`)).body.deadLetters;
      await until("a dead letter", async () => (await letters()).length === 1);
      const [letter] = await letters();
      expect(letter).toMatchObject({ attempts: 4, error: "Error: there is no stumbled yet" });
      await alice.sets("stumbled", true);
      const replay = `/v1/agents/${agent.id}/runs/${encodeURIComponent(letter.run)}/replay`;
      expect((await alice.asks("POST", replay)).status).toBe(202);
      await until("it to be handled", async () => (await letters()).length === 0);
      // The step before the stumble was done once.
      const { state } = (await alice.asks("GET", `/v1/agents/${agent.id}/state`)).body;
      expect(state).toEqual({ steps: 1, city: "Oslo" });
    });

    if (stage === longStages[0])
      it("are told where what they say is no JSON, and go on", async () => {
        const alice = await world.registers("alice");
        const agent = await runs(alice, "mumbles", { of: alice.address });
        await alice.sets("travel", { city: "Oslo" });
        await until("the run to have failed", async () => {
          const { body } = await alice.asks("GET", `/v1/agents/${agent.id}/dead-letters`);
          return /BigInt/.test(body.deadLetters[0]?.error);
        });
        expect((await alice.asks("GET", `/v1/agents/${agent.id}`)).body.state).toBe("running");
      });

    it("fire timers, hear of their start, and stop when they are told to", async () => {
      const alice = await world.registers("alice");
      const agent = await runs(alice, "ticks", { ms: 200 });
      const state = async () => (await alice.asks("GET", `/v1/agents/${agent.id}/state`)).body.state;
      await until("three ticks", async () => (await state()).ticks >= 3);
      expect((await state()).starts).toBe(1);
      const off = await alice.asks("PATCH", `/v1/agents/${agent.id}`, { body: { enabled: false } });
      expect(off.body).toMatchObject({ enabled: false, state: "disabled" });
      const { ticks } = await state();
      await alice.asks("PATCH", `/v1/agents/${agent.id}`, { body: { enabled: true } });
      await until("it to go on", async () => (await state()).ticks > ticks && (await state()).starts === 2);
      expect((await alice.asks("DELETE", `/v1/agents/${agent.id}`)).status).toBe(204);
      expect((await alice.asks("GET", `/v1/agents/${agent.id}`)).status).toBe(404);
      expect((await alice.asks("GET", nodePath(agent.node))).status).toBe(404);
    });

    it("set a timer once for each call, however often the run that makes it is told again", async () => {
      const alice = await world.registers("alice");
      const agent = await runs(alice, "doubts", {});
      const state = async () => (await alice.asks("GET", `/v1/agents/${agent.id}/state`)).body.state;
      const names = ["soon", "slow", "moved", "over"];
      await until("all to have fired", async () => {
        const seen = await state();
        return names.every((name) => name in seen);
      });
      await alice.sets("travel", { city: "Oslo" });
      await runs(alice, "echo", { of: alice.address });
      await echoes(alice, "Oslo");
      expect(await state()).toEqual({ attempts: 2, over: true, soon: 1, slow: 1, moved: 1 });
    });

    it("that react to each other stop at the hop limit, and say so", async () => {
      const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
      const one = await runs(alice, "ping", { of: bob.address });
      const other = await runs(bob, "ping", { of: alice.address });
      await alice.sets("ping", 1);
      await until("one of them to have stopped", async () => {
        const all = [
          ...(await alice.asks("GET", `/v1/agents/${one.id}/runs`)).body.runs,
          ...(await bob.asks("GET", `/v1/agents/${other.id}/runs`)).body.runs,
        ] as { state: string; error?: string }[];
        return all.some(({ state, error }) => state === "stopped" && error?.includes("hop limit"));
      });
      const count = (await alice.asks("GET", `${nodePath(alice.address)}/properties/ping`)).body.value;
      expect(count).toBeGreaterThan(10);
      expect(count).toBeLessThan(20);
    });

    it("hear what is sent to their owner, and answer in their own name", async () => {
      const [alice, bob] = [await world.registers("alice"), await world.registers("bob")];
      const agent = await runs(alice, "away", { text: "At sea." });
      await bob.asks("POST", `${nodePath(alice.address)}/messages`, {
        body: { contentType: "text/plain", content: "Are you there?" },
      });
      await until("an answer", async () => {
        const { messages } = (await bob.asks("GET", "/v1/messages")).body;
        const [first] = messages as { from: string; content: string }[];
        return first?.from === agent.node && first.content === "At sea.";
      });
    });
  });
}

async function echoes(who: Person, city: string): Promise<void> {
  await until("the agent to have echoed it", async () => {
    const { body } = await who.asks("GET", `${nodePath(who.address)}/properties/echo`);
    return body?.value?.city === city;
  });
}

async function runs(who: Person, agent: string, config: object): Promise<{ id: string; node: string }> {
  const { status, body } = await who.asks("POST", "/v1/agents", { body: { agent, config } });
  expect([status, body]).toEqual([201, expect.objectContaining({ state: "running", version: "1.0.0" })]);
  return body as { id: string; node: string };
}

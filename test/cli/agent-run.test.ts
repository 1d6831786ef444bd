// Agents in programs of their own: every event handled, no step twice, timers that outlive the program, whatever is killed.
import { describe, expect, it } from "vitest";
import { aWorld, isFull, type Person } from "../conversations/world.ts";
import { type Command, openCommand } from "./command.ts";
import { openProject, type Project } from "./project.ts";
import { openSink } from "./sink.ts";

const world = aWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } });

function runs(project: Project, file: string, bot: Person, config: unknown, ...more: string[]): Command {
  const env = { TIDINGS_URL: world.url, TIDINGS_TOKEN: bot.token as string };
  return openCommand(["agent", "run", file, "--config", JSON.stringify(config), ...more], {
    env,
    cwd: project.path,
  });
}

/** Tells the sink of each event in two steps. */
const teller = `
import { defineAgent, property, Type } from "tidings/agent";
export default defineAgent({
  name: "teller", version: "1.0.0",
  config: Type.Object({ things: Type.Array(Type.String()), sink: Type.String() }),
  permissions: ["read:e.*", "fetch:*"],
  on: [property("e.*", { of: "config.things" })],
  async handle(event, ctx) {
    if (event.type !== "property.changed") return;
    const post = (step) => ctx.fetch(ctx.config.sink + "/" + step, { method: "POST", body: event.node + " " + event.name });
    const first = await ctx.step("first", async () => (await post("first")).status);
    await ctx.step("second", async () => { await post("second"); return first; });
  },
});`;

describe("an agent that is killed again and again", () => {
  it("handles each event, in order at each node, and does no step again that has ended", async () => {
    await using sink = await openSink();
    await using project = await openProject({ "teller.ts": teller });
    const [alice, bot] = [await world.registers("alice"), await world.registers("teller")];
    const things = ["a", "b", "c", "d", "e"].map((name) => `${alice.address}/${name}`);
    for (const thing of things) await alice.creates(thing);
    await alice.grants({ who: ["authenticated"], properties: ["*"], allow: ["read", "watch"] });
    const config = { things, sink: sink.url };
    const eventsEach = isFull ? 400 : 40;
    const count = eventsEach * things.length;

    let running = runs(project, "teller.ts", bot, config);
    await running.prints("listening");
    const writing = Promise.all(
      things.map(async (thing) => {
        for (let index = 0; index < eventsEach; index++) await alice.sets(`e.${index}`, index, { at: thing });
      }),
    );
    const killsAt = [0.2, 0.6, 1.1, 1.6].map((part) => Math.floor(part * count));
    for (const at of killsAt) {
      await sink.has(at);
      running.child.kill("SIGKILL");
      await running.ended;
      running = runs(project, "teller.ts", bot, config);
    }
    await writing;
    await sink.has(2 * count);
    await using last = running;
    last.child.kill("SIGINT");
    expect(await last.ended).toMatchObject({ code: 0, stderr: "" });

    const keys = new Map<string, string>();
    const told = new Map<string, number>();
    for (const { path, key, body } of sink.posted) {
      const step = `${path} ${body}`;
      expect(keys.get(step) ?? key).toBe(key);
      const isNew = !keys.has(step);
      keys.set(step, key);
      if (path === "/second") continue;
      // It ended before the second began: from then on it is remembered.
      expect(keys.has(`/second ${body}`)).toBe(false);
      if (!isNew) continue;
      const [node = "", name = ""] = body.split(" ");
      expect(Number(name.slice(2))).toBe((told.get(node) ?? -1) + 1);
      told.set(node, Number(name.slice(2)));
    }
    expect(keys.size).toBe(2 * count);
    // What was on its way at a kill may come twice, with the same key: at most one at each node.
    expect(sink.posted.length - keys.size).toBeLessThanOrEqual(killsAt.length * things.length);
  }, 120_000);
});

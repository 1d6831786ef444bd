// Digest: one account a day of who wanted to know of its owner.
// In: notices. Out: one message a day to the owner, if there was any. Never: a message for each notice.
import { defineAgent, started, Type, watcher } from "../agent.ts";

interface Seen {
  readonly times: number;
  readonly properties: readonly string[];
  /** What happened: started, fetched, … */
  readonly how: readonly string[];
}

const seenMax = 500;
const dayMs = 86_400_000;

export default defineAgent({
  name: "digest",
  version: "1.0.0",
  description: "Tells you once a day who wanted to know of you.",
  config: Type.Object({
    at: Type.String({ default: "07:00", pattern: "^([01]\\d|2[0-3]):[0-5]\\d$", description: "UTC." }),
  }),
  permissions: ["watchers", "message:owner"],
  on: [started(), watcher()],
  // What it has seen is one record, which two runs at once would take from each other.
  concurrency: 1,
  async handle(event, ctx) {
    const seen = (await ctx.state.get<{ [who: string]: Seen }>("seen")) ?? {};
    switch (event.type) {
      case "started":
        await ctx.schedule("digest", nextAt(ctx.config.at, ctx.now()));
        return;
      case "timer": {
        const lines = Object.entries(seen).map(([who, of]) => lineOf(who, of));
        if (lines.length > 0) {
          await ctx.step("tell", () =>
            ctx.send(ctx.owner, `Who wanted to know of you:\n${lines.join("\n")}`),
          );
        }
        await ctx.state.delete("seen");
        await ctx.schedule("digest", nextAt(ctx.config.at, ctx.now()));
        return;
      }
      case "watcher.ended":
        return;
      default: {
        const { times = 0, properties = [], how = [] } = seen[event.watcher] ?? {};
        if (times === 0 && Object.keys(seen).length >= seenMax) return;
        const next: Seen = {
          times: times + 1,
          properties: [...new Set([...properties, ...event.properties])].slice(0, 20),
          how: [...new Set([...how, event.type.slice("watcher.".length)])],
        };
        await ctx.state.set("seen", { ...seen, [event.watcher]: next });
      }
    }
  },
});

function lineOf(who: string, { times, properties, how }: Seen): string {
  return `- ${who}: ${properties.join(", ")} (${how.join(", ")}${times > 1 ? `, ${times} times` : ""})`;
}

function nextAt(at: string, nowMs: number): Date {
  const today = Date.parse(`${new Date(nowMs).toISOString().slice(0, 10)}T${at}:00Z`);
  return new Date(today > nowMs ? today : today + dayMs);
}

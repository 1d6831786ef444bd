// Renews: a timer that sets itself anew, and whose run then waits until its owner lets it go.
import { setTimeout as delay } from "node:timers/promises";
import { defineAgent, started, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "renews",
  version: "1.0.0",
  config: Type.Object({}),
  permissions: ["read:go"],
  on: [started()],
  async handle(event, ctx) {
    if (event.type === "started") return await ctx.schedule("beat", 100);
    if (event.type !== "timer") return;
    const began = (await ctx.state.get<{ [id: string]: number }>("began")) ?? {};
    await ctx.schedule("beat", 3_600_000);
    await ctx.state.set("began", { ...began, [event.id]: (began[event.id] ?? 0) + 1 });
    while ((await ctx.get(ctx.owner, "go")) === undefined) await delay(50);
    await ctx.state.set("ended", event.id);
  },
});

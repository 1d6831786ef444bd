// Ticks: counts its starts, and ticks that it sets itself.
import { defineAgent, started, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "ticks",
  version: "1.0.0",
  config: Type.Object({ ms: Type.Integer() }),
  permissions: [],
  on: [started()],
  async handle(event, ctx) {
    const key = event.type === "timer" ? "ticks" : "starts";
    await ctx.state.set(key, ((await ctx.state.get<number>(key)) ?? 0) + 1);
    await ctx.schedule("tick", ctx.config.ms);
  },
});

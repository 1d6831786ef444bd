// Wakes: sets two timers when it starts, one due soon and one later, and notes how late each fires.
import { defineAgent, started, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "wakes",
  version: "1.0.0",
  config: Type.Object({ ms: Type.Integer() }),
  permissions: [],
  on: [started()],
  async handle(event, ctx) {
    if (event.type === "timer") {
      const fired = (await ctx.state.get<number[]>("fired")) ?? [];
      await ctx.state.set("fired", [...fired, ctx.now() - event.dueMs]);
      return;
    }
    await ctx.schedule("soon", 800);
    await ctx.schedule("later", ctx.config.ms);
    await ctx.state.set("set", 2);
  },
});

// Doubts: fails once it has set a timer for the first time, and counts how often each timer fires.
import { setTimeout as delay } from "node:timers/promises";
import { defineAgent, started, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "doubts",
  version: "1.0.0",
  config: Type.Object({}),
  permissions: [],
  on: [started()],
  mode: "parallel",
  async handle(event, ctx) {
    if (event.type === "timer") {
      // The run that set it is told again while this one is on.
      if (event.name === "slow") await delay(500);
      await ctx.state.set(event.name, ((await ctx.state.get<number>(event.name)) ?? 0) + 1);
      return;
    }
    await ctx.schedule("soon", 20);
    await ctx.schedule("slow", 20);
    const attempts = ((await ctx.state.get<number>("attempts")) ?? 0) + 1;
    await ctx.state.set("attempts", attempts);
    if (attempts === 1) throw new Error("was that right?");
    await ctx.schedule("moved", 3_600_000);
    await ctx.schedule("moved", 20);
    await ctx.state.set("over", true);
  },
});

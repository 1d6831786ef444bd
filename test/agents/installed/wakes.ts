// Wakes: sets two timers when it starts, one due soon and one later, and notes under the id of each firing how late it came.
import { defineAgent, started, Type } from "../../../agents/agent.ts";

type Fired = { readonly [id: string]: { readonly name: string; readonly late: number } };

export default defineAgent({
  name: "wakes",
  version: "1.0.0",
  config: Type.Object({ ms: Type.Integer() }),
  permissions: [],
  on: [started()],
  async handle(event, ctx) {
    if (event.type === "timer") {
      const fired = (await ctx.state.get<Fired>("fired")) ?? {};
      // What was cut off while it was handled comes again, under the same id.
      await ctx.state.set("fired", {
        ...fired,
        [event.id]: { name: event.name, late: ctx.now() - event.dueMs },
      });
      return;
    }
    await ctx.schedule("soon", 800);
    await ctx.schedule("later", ctx.config.ms);
    await ctx.state.set("set", 2);
  },
});

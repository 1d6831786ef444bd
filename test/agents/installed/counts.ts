// Counts: tells a sink of each change that it hears of, once.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "counts",
  version: "1.0.0",
  config: Type.Object({ sink: Type.String() }),
  permissions: ["read:*", "fetch:*"],
  on: [property("n.*", { depth: "infinity" })],
  async handle(event, ctx) {
    if (event.type !== "property.changed") return;
    const body = { node: event.node, name: event.name, value: event.value };
    await ctx.step("tell", async () => {
      const { status } = await ctx.fetch(ctx.config.sink, { body });
      if (status !== 204) throw new Error(`the sink answered ${status}`);
      return status;
    });
    // Told as well, outside of the step that it comes after: a step that is remembered is not done again.
    await ctx.fetch(`${ctx.config.sink}?after`, { body });
  },
});

// Stumbles: cannot go on before somebody says that it may.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "stumbles",
  version: "1.0.0",
  config: Type.Object({}),
  permissions: ["read:travel", "read:stumbled"],
  on: [property("travel")],
  async handle(event, ctx) {
    if (event.type !== "property.changed") return;
    await ctx.step("begin", async () => {
      await ctx.state.set("steps", ((await ctx.state.get<number>("steps")) ?? 0) + 1);
    });
    if (!(await ctx.get(ctx.owner, "stumbled"))) throw new Error("there is no stumbled yet");
    await ctx.state.set("city", (event.value as { city: string }).city);
  },
});

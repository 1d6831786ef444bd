// Ping: says one more than somebody else says.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "ping",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:ping", "write:ping"],
  on: [property("ping", { of: "config.of" })],
  async handle(event, ctx) {
    if (event.type !== "property.changed") return;
    await ctx.set({ node: ctx.owner, name: "ping" }, Number(event.value) + 1);
  },
});

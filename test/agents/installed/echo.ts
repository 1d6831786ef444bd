// Echo: says of itself what somebody says of their travel.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "echo",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel", "write:echo"],
  on: [property("travel", { of: "config.of" })],
  async handle(event, ctx) {
    if (event.type === "property.changed") await ctx.set({ node: ctx.owner, name: "echo" }, event.value);
  },
});

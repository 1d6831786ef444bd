// Echo: says of itself what somebody says of their travel, after a while.
import { setTimeout as delay } from "node:timers/promises";
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "echo",
  version: "1.0.0",
  config: Type.Object({ of: Type.String(), afterMs: Type.Integer({ default: 0 }) }),
  permissions: ["read:travel", "write:echo"],
  on: [property("travel", { of: "config.of" })],
  async handle(event, ctx) {
    if (event.type !== "property.changed") return;
    if (ctx.config.afterMs > 0) await delay(ctx.config.afterMs);
    await ctx.set({ node: ctx.owner, name: "echo" }, event.value);
  },
});

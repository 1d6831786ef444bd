// Mumbles: says what is no JSON.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "mumbles",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel", "write:echo"],
  on: [property("travel", { of: "config.of" })],
  async handle(_, ctx) {
    await ctx.set({ node: ctx.owner, name: "echo" }, { n: 10n } as never);
  },
});

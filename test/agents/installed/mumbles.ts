// Mumbles: says what is no JSON, where nothing looks at it before it leaves the thread.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "mumbles",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel", "write:echo"],
  on: [property("travel", { of: "config.of" })],
  async handle(_, ctx) {
    const lease = { seconds: 60, default: 10n };
    await ctx.set({ node: ctx.owner, name: "echo" }, "said", { lease: lease as never });
  },
});

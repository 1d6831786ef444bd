// Shouts: says much at once, and waits for no answer.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "shouts",
  version: "1.0.0",
  config: Type.Object({ calls: Type.Number(), characters: Type.Number() }),
  permissions: ["read:travel", "write:echo"],
  on: [property("travel")],
  async handle(_, ctx) {
    const { calls, characters } = ctx.config;
    const text = "x".repeat(characters);
    const all = Array.from({ length: calls }, () => ctx.set({ node: ctx.owner, name: "echo" }, text));
    await Promise.all(all);
  },
});

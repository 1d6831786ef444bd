// Leaks: keeps all that it can make of what it hears.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "leaks",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel"],
  on: [property("travel", { of: "config.of" })],
  async handle() {
    const kept: unknown[] = [];
    for (;;) {
      kept.push(Array.from({ length: 50_000 }, (_, index) => index));
      if (kept.length % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  },
});

// Hoards: keeps all that it can outside of its heap.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "hoards",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel"],
  on: [property("travel", { of: "config.of" })],
  async handle() {
    const kept: Uint8Array[] = [];
    for (;;) {
      kept.push(new Uint8Array(1024 * 1024).fill(1));
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
});

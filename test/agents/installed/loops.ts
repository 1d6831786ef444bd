// Loops: never comes back from what it hears.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "loops",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel"],
  on: [property("travel", { of: "config.of" })],
  handle() {
    for (;;);
  },
});

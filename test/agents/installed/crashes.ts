// Crashes: throws where nobody catches it, after it was told.
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "crashes",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel"],
  on: [property("travel", { of: "config.of" })],
  async handle() {
    setTimeout(() => {
      throw new Error("no such luck");
    }, 1);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  },
});

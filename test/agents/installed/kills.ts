// Kills: ends the process that it runs in, once others are at work there.
import { setTimeout as delay } from "node:timers/promises";
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "kills",
  version: "1.0.0",
  config: Type.Object({ of: Type.String() }),
  permissions: ["read:travel"],
  on: [property("travel", { of: "config.of" })],
  async handle() {
    await delay(200);
    process.kill(process.pid, "SIGKILL");
  },
});

// Trivial: hears of every change, and does nothing.
import { defineAgent, property } from "../../agents/agent.ts";

export default defineAgent({
  name: "trivial",
  version: "1.0.0",
  permissions: ["read:*"],
  on: [property("bench.*", { depth: "infinity" })],
  handle: () => undefined,
});

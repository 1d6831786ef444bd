// Babbles: posts to the process of the threads what is no word, or more words than anybody asked for.
import { parentPort } from "node:worker_threads";
import { defineAgent, property, Type } from "../../../agents/agent.ts";

export default defineAgent({
  name: "babbles",
  version: "1.0.0",
  config: Type.Object({ what: Type.String() }),
  permissions: ["read:travel"],
  on: [property("travel")],
  async handle(_, ctx) {
    if (ctx.config.what === "nothing") parentPort?.postMessage(null);
    else for (let n = 0; n < 10; n++) parentPort?.postMessage({ is: "pong", pad: "x".repeat(500_000) });
    await new Promise(() => undefined);
  },
});

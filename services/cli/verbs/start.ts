// tidings start: the broker.
// In: its settings as flags. Out: the broker, until it is stopped. Never: a flag that the broker does not know.
import type { Verb } from "../verb.ts";

export const start: Verb = {
  typed: "start [settings...]",
  summary: "start the broker (flags are the settings: --port 0, --data ./data, …)",
  isLocal: true,
  async run({ args }) {
    const { main } = await import("../../main.ts");
    await main(process.env, args);
  },
};

// tidings agent add: the broker runs an agent for you.
// In: the agent's name, its config. Out: the instance. Never: a config that does not fit the agent's schema; the broker refuses it.
import { agentsPath, type Instance, instanceLine } from "../hosted.ts";
import { jsonOf, type Verb } from "../verb.ts";

export const add: Verb = {
  typed: "add <agent>",
  summary: "let the broker run an agent for you, with the permissions it declares",
  flags: { "--config <json>": "what it is to know, as its schema says (agent list --json)" },
  async run({ args: [agent], flags: { config = "{}" }, rest, answer }) {
    const body = { agent, config: jsonOf(config, "--config") };
    const instance = (await rest.ask("POST", agentsPath, { body })) as Instance;
    answer(instance, instanceLine(instance));
  },
};

// tidings agent list: what the broker can run, and what it runs for you.
// In: nothing. Out: kinds and instances. Never: those of others.
import { agentsPath, type Instance, instanceLine, type Kind } from "../hosted.ts";
import type { Verb } from "../verb.ts";

export const list: Verb = {
  typed: "list",
  summary: "agents that the broker can run, and yours that it runs",
  async run({ rest, answer }) {
    const told = (await rest.ask("GET", agentsPath)) as { agents: Kind[]; running: Instance[] };
    const kinds = told.agents.map(({ agent, version, description = "", broken }) =>
      broken === undefined
        ? `  ${agent} ${version}  ${description}`
        : `  ${agent}  cannot be loaded: ${broken}`,
    );
    const mine = told.running.map((instance) => `  ${instanceLine(instance)}`);
    answer(told, [
      "Installed:",
      ...kinds,
      mine.length === 0 ? "None of yours runs: tidings agent add <agent>." : "Yours:",
      ...mine,
    ]);
  },
};

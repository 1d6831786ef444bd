// tidings agent runs: what an agent of yours did lately.
// In: an instance's id. Out: its runs, newest as the broker lists them. Never: a run of somebody else's.
import { eventWords, type HostedRun, instancePath } from "../hosted.ts";
import type { Verb } from "../verb.ts";

export const runs: Verb = {
  typed: "runs <id>",
  summary: "what an agent of yours did lately, and what it wrote to its log",
  async run({ args: [id = ""], rest, answer }) {
    const told = (await rest.ask("GET", `${instancePath(id)}/runs`)) as { runs: HostedRun[] };
    const lines = told.runs.flatMap(({ id: run, event, state, attempts, started, ms, error, log = [] }) => [
      `${run}  ${started}  ${state} in ${Math.round(ms)} ms, attempt ${attempts}  ${eventWords(event)}`,
      ...(error === undefined ? [] : [`    ${error}`]),
      ...log.map((line) => `    ${line}`),
    ]);
    answer(told, lines.length === 0 ? "No run yet." : lines);
  },
};

// tidings agent replay: an agent of yours handles an event once more.
// In: an instance's id and a run's. Out: the run. Never: a step that has ended; steps are remembered.
import { instancePath } from "../hosted.ts";
import type { Verb } from "../verb.ts";

export const replay: Verb = {
  typed: "replay <id> <run>",
  summary: "let an agent of yours try a run once more",
  async run({ args: [id = "", run = ""], rest, answer }) {
    const told = await rest.ask("POST", `${instancePath(id)}/runs/${encodeURIComponent(run)}/replay`);
    answer(told, `${run} runs again: tidings agent runs ${id}`);
  },
};

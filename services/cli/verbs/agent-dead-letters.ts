// tidings agent dead-letters: what an agent of yours could not do, after all of its tries.
// In: an instance's id. Out: the events, each with its last error. Never: a try; that is agent replay.
import { type DeadLetter, eventWords, instancePath } from "../hosted.ts";
import type { Verb } from "../verb.ts";

export const deadLetters: Verb = {
  typed: "dead-letters <id>",
  summary: "what an agent of yours could not handle, and why",
  async run({ args: [id = ""], rest, answer }) {
    const told = (await rest.ask("GET", `${instancePath(id)}/dead-letters`)) as { deadLetters: DeadLetter[] };
    const lines = told.deadLetters.map(
      ({ run, at, attempts, event, error }) =>
        `${run}  ${at}  ${attempts} attempts  ${eventWords(event)}  ${error}`,
    );
    answer(told, lines.length === 0 ? "None." : [...lines, `Again: tidings agent replay ${id} <run>`]);
  },
};

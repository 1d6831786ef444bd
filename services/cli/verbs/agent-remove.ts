// tidings agent remove: the broker runs an agent no more, and forgets what it kept.
// In: an instance's id. Out: one line. Never: a question; --json has nobody to ask.
import { instancePath } from "../hosted.ts";
import type { Verb } from "../verb.ts";

export const remove: Verb = {
  typed: "remove <id>",
  summary: "end an agent of yours, with all that it kept",
  async run({ args: [id = ""], rest, answer }) {
    await rest.ask("DELETE", instancePath(id));
    answer({ id }, `${id} is removed.`);
  },
};

// tidings agent enable, tidings agent disable: an agent of yours works, or rests.
// In: an instance's id. Out: the instance. Never: a loss of what it kept.
import { type Instance, instanceLine, instancePath } from "../hosted.ts";
import type { Verb } from "../verb.ts";

export const enable: Verb = switching(true, "enable", "let an agent of yours work again");
export const disable: Verb = switching(
  false,
  "disable",
  "let an agent of yours rest; it keeps what it knows",
);

function switching(enabled: boolean, name: string, summary: string): Verb {
  return {
    typed: `${name} <id>`,
    summary,
    async run({ args: [id = ""], rest, answer }) {
      const instance = (await rest.ask("PATCH", instancePath(id), { body: { enabled } })) as Instance;
      answer(instance, instanceLine(instance));
    },
  };
}

// tidings send: a message.
// In: an address and a text. Out: the message's id. Never: a word about whether anybody reads it.
import { nodePath } from "../../../agents/outside/rest.ts";
import { numberOf, type Verb } from "../verb.ts";

export const send: Verb = {
  typed: "send <to> <text>",
  summary: "send a message to somebody, or to a group",
  flags: {
    "--content-type <type>": "what the text is (text/plain; charset=utf-8)",
    "--expires-in <seconds>": "how long it waits for whoever is not there; 7 days at most",
  },
  async run({ args: [to = "", content = ""], flags, rest, answer }) {
    const { contentType = "text/plain; charset=utf-8" } = flags;
    const expiresIn = numberOf(flags.expiresIn, "expires-in");
    const body = { contentType, content, ...(expiresIn !== undefined && { expiresIn }) };
    const sent = (await rest.ask("POST", `${nodePath(to)}/messages`, { body })) as { id: string };
    answer(sent, `Stored for ${to} (${sent.id}).`);
  },
};

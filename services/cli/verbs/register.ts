// tidings register: an account.
// In: a handle, or none for a number. Out: its address, and its token as a line for a shell. Never: the token anywhere else.
import type { Verb } from "../verb.ts";

export const register: Verb = {
  typed: "register [handle]",
  summary: "make an account and print its token",
  more: 'Prints a line that a shell takes: eval "$(tidings register alice)".',
  flags: {
    "--display-name <name>": "what others read beside the address",
    "--invitation <text>": "where registration is by invitation",
  },
  async run({ args: [handle], flags, rest, answer, tell }) {
    const { displayName, invitation } = flags;
    const body = { ...(handle !== undefined && { handle }), displayName, invitation };
    const account = (await rest.ask("POST", "/v1/accounts", { body })) as { address: string; token: string };
    tell(`${account.address} is registered.`);
    answer(account, `export TIDINGS_TOKEN=${account.token}`);
  },
};

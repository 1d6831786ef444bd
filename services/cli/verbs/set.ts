// tidings set: a property gets a value.
// In: a name and JSON. Out: the revision that is on disk. Never: a value that was meant as something else.
import { propertyPath } from "../../../agents/outside/rest.ts";
import { UsageError } from "../failure.ts";
import { jsonOf, numberOf, ownAddress, type Verb } from "../verb.ts";

export const set: Verb = {
  typed: "set <name> <json>",
  summary: "set a property of your node",
  more: 'Example: tidings set presence \'{"status":"online"}\' --lease 60 --default \'{"status":"offline"}\'',
  flags: {
    "--node <address>": "another node that you may write to, such as one of your own below yours",
    "--lease <seconds>": "it ends after so long, unless it is set again",
    "--default <json>": "what it becomes then; without it, it goes",
    "--view <device>": "one of several values that devices hold at the same time",
    "--if-match <revision>": "only if it still has this revision; 0: only if it is not there",
  },
  async run({ args: [name = "", json = ""], flags, rest, answer }) {
    const value = jsonOf(json, "The value");
    const seconds = numberOf(flags.lease, "lease");
    const revision = numberOf(flags.ifMatch, "if-match");
    if (seconds === undefined && flags.default !== undefined) {
      throw new UsageError("--default is what a leased value becomes: give --lease as well.");
    }
    const fallback = flags.default === undefined ? {} : { default: jsonOf(flags.default, "--default") };
    const lease = seconds === undefined ? {} : { lease: { seconds, ...fallback } };
    const headers: Record<string, string> = {};
    if (revision === 0) headers["if-none-match"] = "*";
    else if (revision !== undefined) headers["if-match"] = `"${revision}"`;
    const node = flags.node ?? (await ownAddress(rest));
    const body = { value, ...lease, ...(flags.view !== undefined && { view: flags.view }) };
    const put = (await rest.ask("PUT", propertyPath(node, name), { body, headers })) as Put;
    const until = put.lease === undefined ? "" : ` until ${put.lease.until}`;
    answer(put, `${put.node} ${put.name} is set${until} (revision ${put.revision}).`);
  },
};

interface Put {
  readonly node: string;
  readonly name: string;
  readonly revision: number;
  readonly lease?: { readonly until: string };
}

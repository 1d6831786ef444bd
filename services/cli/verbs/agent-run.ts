// tidings agent run: an agent in a program of its own.
// In: the agent's file, a config, a token. Out: what it does, until Ctrl-C. Never: an event twice, or one that is lost in a kill.

import { UsageError } from "../failure.ts";
import { narrate } from "../narration.ts";
import { claim, configOf, openStoreOf, outsideFlags, usualFolder } from "../outside.ts";
import { ownAddress, type Verb } from "../verb.ts";

export const run: Verb = {
  typed: "run <file>",
  summary: "run an agent here, with the account of your token",
  more: `It goes on where it was, also after a kill: each event is handled at least once, and no step of it twice.
Give a bot an account of its own (tidings register), and it may take messages off its list with --acknowledge.`,
  flags: {
    ...outsideFlags,
    "--acknowledge": "take each message off the account's list once it was handled",
    "--backoff <ms,ms,...>": "the waits before further tries of what failed (1000,5000,25000)",
    "--retry-dead": "try once more what failed for good before",
  },
  async run({ args: [file = ""], flags, rest, print, isJson, signal }) {
    const [{ loadAgent }, { runOutside }] = await Promise.all([
      import("../../../agents/outside/load.ts"),
      import("../../../agents/outside/run.ts"),
    ]);
    const agent = await loadAgent(file);
    const config = configOf(flags.config);
    const folder = flags.data ?? usualFolder;
    const address = await ownAddress(rest);
    using store = openStoreOf(agent.name, folder);
    await claim(store, address, folder);
    const narration = narrate({ print, isJson }, process.stdout.isTTY === true);
    if (!isJson) print(`${agent.name} ${agent.version} runs for ${address} at ${rest.url}. Ctrl-C stops it.`);
    await runOutside({
      agent,
      config,
      rest,
      store,
      acknowledges: flags.acknowledge !== undefined,
      backoffMs: backoffOf(flags.backoff),
      retriesDead: flags.retryDead !== undefined,
      signal,
      ...narration,
    });
  },
};

function backoffOf(text: string | undefined): readonly number[] | undefined {
  if (text === undefined) return undefined;
  const waits = text.split(",").map(Number);
  if (waits.length <= 20 && waits.every((ms) => ms >= 0 && ms <= 86_400_000)) return waits;
  throw new UsageError("--backoff takes up to 20 waits in milliseconds, such as 1000,5000,25000.");
}

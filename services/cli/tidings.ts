#!/usr/bin/env node
// The tidings command.
// In: a verb and its flags. Out: what the verb does, and an exit code. Never: a stack trace for a mistake in typing.
import { main } from "../main.ts";

const usage = `Usage: tidings <verb> [flags]

  start    start the broker (flags are the settings: --port 0, --data ./data, …)
  help     show this
`;

const [verb = "help", ...args] = process.argv.slice(2);

if (verb === "start") {
  await main(process.env, args);
} else if (verb === "help" || verb === "--help" || verb === "-h") {
  process.stdout.write(usage);
} else {
  process.stderr.write(`tidings: there is no verb "${verb.slice(0, 40)}".\n\n${usage}`);
  process.exitCode = 1;
}

// The tidings command: its verbs, their flags, and what every one of them has in common.
// In: the command line. Out: what the verb does, and an exit code. Never: a stack trace for a mistake in typing.
import { Command, CommanderError } from "commander";
import { openRest } from "../../agents/outside/rest.ts";
import { CommandError, failureOf, UsageError } from "./failure.ts";
import type { Given, Verb } from "./verb.ts";
import { agentVerbs } from "./verbs/agent.ts";
import { get } from "./verbs/get.ts";
import { register } from "./verbs/register.ts";
import { send } from "./verbs/send.ts";
import { set } from "./verbs/set.ts";
import { start } from "./verbs/start.ts";
import { watch } from "./verbs/watch.ts";

const usualUrl = "http://127.0.0.1:4280";

const examples = `
Examples:
  tidings start                                        a broker, with its data in ./data
  eval "$(tidings register alice)"                     an account, and its token in TIDINGS_TOKEN
  tidings set presence '{"status":"online"}' --lease 60
  tidings watch alice@localhost:presence
  tidings agent new greeter                            a bot of your own, with a test that passes

Where the broker is and who you are come from --url and --token, or from TIDINGS_URL and TIDINGS_TOKEN.
Exit codes: 0 done, 1 refused, 2 typed wrong, 3 no broker that serves.`;

/** Runs what was typed and leaves the exit code. */
export async function run(typed: readonly string[]): Promise<void> {
  const isJson = typed.includes("--json");
  try {
    await programOf().parseAsync([...typed], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    const { line, code, exitCode } = failureOf(error);
    process.stderr.write(
      isJson ? `${JSON.stringify({ error: { code, message: line } })}\n` : `tidings: ${line}\n`,
    );
    process.exitCode = exitCode;
  }
}

function programOf(): Command {
  const program = new Command("tidings")
    .description("What people and programs make known, and agents that react to it.")
    .helpCommand("help [verb]", "show this, or the help of a verb")
    .addHelpText("after", examples);
  common(program);
  program.addCommand(commandOf(start).allowUnknownOption().allowExcessArguments().helpOption(false));
  for (const verb of [register, set, get, watch, send]) program.addCommand(commandOf(verb));
  const agent = common(
    new Command("agent").description("agents: bots in one file, outside or in the broker"),
  );
  for (const verb of agentVerbs) agent.addCommand(commandOf(verb));
  program.addCommand(agent);
  return program;
}

/** What holds for each level: mistakes are told in one line. */
function common(command: Command): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .configureOutput({
      outputError: (text, write) =>
        write(
          `tidings: ${text
            .replace(/^error: /, "")
            .trim()
            .replaceAll("\n", " ")} See tidings --help.\n`,
        ),
    });
}

function commandOf(verb: Verb): Command {
  const [name = "", ...places] = verb.typed.split(" ");
  const command = common(new Command(name)).description(verb.summary);
  for (const place of places) command.argument(place);
  for (const [typed, meaning] of Object.entries(verb.flags ?? {})) command.option(typed, meaning);
  if (verb.isLocal === undefined) {
    command
      .option("--url <url>", `where the broker is (TIDINGS_URL, else ${usualUrl})`)
      .option("--token <token>", "who you are (TIDINGS_TOKEN)");
  }
  if (verb !== start) command.option("--json", "answer in JSON");
  if (verb.more !== undefined) command.addHelpText("after", `\n${verb.more}`);
  return command.action(async () => await verb.run(givenTo(command)));
}

function givenTo(command: Command): Given {
  const { json, ...flags } = command.opts<Record<string, string | undefined> & { json?: true }>();
  const stop = new AbortController();
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  let rest: Given["rest"] | undefined;
  return {
    args: command.args,
    flags,
    isJson: json === true,
    print,
    tell: (line) => void process.stderr.write(`${line}\n`),
    answer(answer, words) {
      if (json) print(JSON.stringify(answer));
      else for (const line of [words].flat()) print(line);
    },
    get rest() {
      rest ??= openRest({ url: urlOf(flags.url), token: tokenOf(flags.token) });
      return rest;
    },
    get signal() {
      for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
      return stop.signal;
    },
  };
}

function urlOf(flag: string | undefined): string {
  const url = flag ?? (process.env.TIDINGS_URL || usualUrl);
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  const named = flag === undefined ? "TIDINGS_URL" : "--url";
  throw new UsageError(`${named} takes a URL such as ${usualUrl}, and ${url.slice(0, 60)} is none.`);
}

function tokenOf(flag: string | undefined): string | undefined {
  const token = (flag ?? process.env.TIDINGS_TOKEN ?? "").trim();
  if (token === "") return undefined;
  // Never shown, not even when it does not fit.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new CommandError("The token is not one: it has characters that no token has.");
  return token;
}

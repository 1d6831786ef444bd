// A cause: the command that makes something happen which an agent listens to.
// In: an agent, its account, and perhaps a friend to play with. Out: lines for a person. Never: a token; the commands read it from its file.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Rest } from "../../agents/outside/rest.ts";
import { RestError } from "../../agents/outside/rest.ts";
import type { OutsideOptions } from "../../agents/outside/run.ts";
import { tokenFile } from "./play-accounts.ts";

export interface CauseOptions {
  readonly agent: OutsideOptions["agent"];
  readonly config: unknown;
  readonly rest: Rest;
  readonly address: string;
  /** Where the tokens of play accounts lie; undefined: there are none. */
  readonly folder: string | undefined;
}

export async function causeOf({ agent, rest, address, folder }: CauseOptions): Promise<readonly string[]> {
  const heading = `${agent.name} ${agent.version} listens as ${address} at ${rest.url}. Save its file and it is loaded anew; Ctrl-C stops it.`;
  if (folder === undefined) return [heading];
  for (const trigger of agent.on) {
    const line = (who: "bot" | "friend", typed: string): readonly string[] => [
      heading,
      "Let something happen, in a second terminal here:",
      `  TIDINGS_URL=${rest.url} TIDINGS_TOKEN=$(cat ${quoted(tokenFile(folder, who))}) ${command()} ${typed}`,
    ];
    if (trigger.on === "message") return line("friend", `send ${address} 'Hello?'`);
    if (trigger.on === "watcher") return line("friend", `get ${address}`);
    if (trigger.on !== "property" || !["owner", "contacts"].includes(trigger.of)) continue;
    const name = (trigger.names[0] as string).replace(/^\*$/, "mood").replace(/\*$/, "mood");
    const value = JSON.stringify(await exampleOf(rest, name));
    return line(trigger.of === "owner" ? "bot" : "friend", `set ${name} ${quoted(value)}`);
  }
  return [heading];
}

/** The first example of the property's type. */
async function exampleOf(rest: Rest, name: string): Promise<unknown> {
  try {
    const type = (await rest.ask("GET", `/v1/types/${encodeURIComponent(name)}`)) as {
      schema?: { examples?: unknown[] };
    };
    return type.schema?.examples?.[0] ?? { hello: "world" };
  } catch (error) {
    if (error instanceof RestError && error.status === 404) return { hello: "world" };
    throw error;
  }
}

/** How the command is typed here. */
function command(folder = process.cwd()): string {
  if (existsSync(join(folder, "node_modules", ".bin", "tidings"))) return "npx tidings";
  if (dirname(folder) !== folder) return command(dirname(folder));
  return quoted(fileURLToPath(new URL("tidings.mjs", import.meta.url)));
}

function quoted(text: string): string {
  return /^[A-Za-z0-9/._-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

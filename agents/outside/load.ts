// Loading: the agent that a file exports, and the same once more after the file was changed.
// In: a path. Out: an agent that is checked, and which files it is made of. Never: a version that was loaded before in place of a new one.
import { registerHooks } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AgentError } from "../agent-error.ts";
import { type Agent, checkAgent } from "../define.ts";

/** @throws AgentError that names the file and says what is wrong with it */
export async function loadAgent(file: string): Promise<Agent> {
  return await imported(file, pathToFileURL(resolve(file)).href);
}

export interface Loader {
  /** The agent as its files are now. @throws AgentError */
  load(): Promise<Agent>;
  /** Folders that hold a file which was loaded; its own packages are not looked at. */
  readonly folders: ReadonlySet<string>;
}

/** Loads a file and what it imports beside it anew each time. Each version stays in memory, so this is for development. */
export function openLoader(file: string): Loader {
  const url = pathToFileURL(resolve(file)).href;
  const own = dirname(resolve(file));
  const folders = new Set([own]);
  let version = 0;
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context);
      if (context.parentURL?.includes("?agent-version=") !== true || !isBeside(found.url)) return found;
      folders.add(dirname(fileURLToPath(found.url)));
      return { ...found, url: `${found.url.split("?")[0]}?agent-version=${version}` };
    },
  });
  function isBeside(found: string): boolean {
    return (
      found.startsWith("file:") && !found.includes("/node_modules/") && fileURLToPath(found).startsWith(own)
    );
  }
  return {
    folders,
    load: async () => await imported(file, `${url}?agent-version=${++version}`),
  };
}

async function imported(file: string, url: string): Promise<Agent> {
  let module: { default?: unknown };
  try {
    module = (await import(url)) as { default?: unknown };
  } catch (error) {
    throw new AgentError(`${file} cannot be loaded: ${whyOf(error, file)}`);
  }
  if (module.default === undefined) {
    throw new AgentError(`${file} exports no agent: it needs "export default defineAgent({ … })"`);
  }
  try {
    return checkAgent(module.default);
  } catch (error) {
    throw new AgentError(`${file}: ${(error as Error).message}`);
  }
}

/** One line, with the place in the author's file where one is known. */
function whyOf(error: unknown, file: string): string {
  const { code, message = String(error), stack = "" } = error as NodeJS.ErrnoException;
  if (code === "ERR_MODULE_NOT_FOUND" && message.includes(resolve(file))) return "there is no such file";
  const line = /\.[cm]?[jt]s(?:\?agent-version=\d+)?:(\d+)/.exec(stack)?.[1];
  return `${message.replaceAll(/\?agent-version=\d+/g, "").split("\n")[0]}${line === undefined ? "" : ` (line ${line})`}`;
}

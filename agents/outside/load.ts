// Loading: the agent that a file exports, and the same once more after the file was changed.
// In: a path. Out: an agent that is checked, and which files it is made of. Never: a version that was loaded before in place of a new one.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { AgentError } from "../agent-error.ts";
import { type Agent, checkAgent } from "../define.ts";

/** @throws AgentError that names the file and says what is wrong with it */
export async function loadAgent(file: string): Promise<Agent> {
  return await imported(file, pathToFileURL(resolve(file)).href);
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

// What run and dev share: a config that was typed, and the file in which an agent of a program of its own remembers.
// In: flags, an account. Out: a config, a store. Never: a store that belongs to another account.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type LocalStore, openLocalStore } from "../../agents/outside/local-store.ts";
import { CommandError, UsageError } from "./failure.ts";
import { jsonOf } from "./verb.ts";

export const outsideFlags = {
  "--config <json>": "what the agent is to know, as its schema says; @file reads it from there",
  "--data <folder>": "where it remembers how far it is, its steps and its timers (.tidings)",
} as const;

export const usualFolder = ".tidings";

export function configOf(text: string | undefined): unknown {
  if (text === undefined) return {};
  if (!text.startsWith("@")) return jsonOf(text, "--config");
  const file = text.slice(1);
  try {
    return jsonOf(readFileSync(file, "utf8"), file);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `--config ${text}: the file cannot be read (${(error as NodeJS.ErrnoException).code}).`,
    );
  }
}

/** @throws CommandError when it is in use, or somebody else's */
export function openStoreOf(agent: string, folder: string): LocalStore {
  const path = join(folder, `${agent}.db`);
  try {
    return openLocalStore(path);
  } catch (error) {
    const { message, errcode } = error as Error & { errcode?: number };
    // SQLITE_BUSY
    if (errcode === 5)
      throw new CommandError(`${path} is in use: the agent runs already. Stop that one, or give --data.`);
    throw new CommandError(`${path} cannot be opened: ${message}.`);
  }
}

/** What was remembered is of one account, by the cursor and by the keys of its effects. */
export async function claim(store: LocalStore, address: string, folder: string): Promise<void> {
  const before = store.fact("account");
  if (before === undefined) await store.keepFact("account", address);
  else if (before !== address) {
    throw new CommandError(
      `What is kept in ${folder} is of ${before}, and the token of ${address}: give --data another folder.`,
    );
  }
}

// Play accounts: who an agent is while it is tried out, and a friend of it who causes something.
// In: a broker with open registration, a folder. Out: two accounts, the same the next time. Never: a token on the screen; they lie in the folder.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openRest, type Rest, RestError } from "../../agents/outside/rest.ts";
import { CommandError } from "./failure.ts";

export interface PlayAccounts {
  readonly bot: Rest;
  readonly botAddress: string;
  readonly friend: Rest;
  readonly friendAddress: string;
  readonly isNew: boolean;
}

interface Kept {
  readonly url: string;
  readonly address: string;
}

/** @throws CommandError where nobody may register */
export async function playAccounts(url: string, name: string, folder: string): Promise<PlayAccounts> {
  const [bot, friend] = [await known(url, "bot", folder), await known(url, "friend", folder)];
  if (bot !== undefined && friend !== undefined) {
    return {
      bot: bot.rest,
      botAddress: bot.address,
      friend: friend.rest,
      friendAddress: friend.address,
      isNew: false,
    };
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const mark = Math.random().toString(36).slice(2, 6);
  const made = await registered(url, "bot", `${name}-${mark}`, folder);
  const other = await registered(url, "friend", `friend-${mark}`, folder);
  await made.rest.ask("PUT", "/v1/me/roster", { body: { contacts: [{ address: other.address }] } });
  return {
    bot: made.rest,
    botAddress: made.address,
    friend: other.rest,
    friendAddress: other.address,
    isNew: true,
  };
}

export function tokenFile(folder: string, who: "bot" | "friend"): string {
  return join(folder, `${who}.token`);
}

interface Player {
  readonly rest: Rest;
  readonly address: string;
}

async function known(url: string, who: "bot" | "friend", folder: string): Promise<Player | undefined> {
  let kept: Kept;
  let token: string;
  try {
    kept = JSON.parse(readFileSync(join(folder, `${who}.json`), "utf8")) as Kept;
    token = readFileSync(tokenFile(folder, who), "utf8").trim();
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  if (kept.url !== url) return undefined;
  const rest = openRest({ url, token });
  try {
    await rest.ask("GET", "/v1/me");
    return { rest, address: kept.address };
  } catch (error) {
    // The broker began anew meanwhile.
    if (error instanceof RestError && error.status === 401) return undefined;
    throw error;
  }
}

async function registered(
  url: string,
  who: "bot" | "friend",
  handle: string,
  folder: string,
): Promise<Player> {
  try {
    const body = { handle };
    const account = (await openRest({ url, token: undefined }).ask("POST", "/v1/accounts", {
      body,
    })) as Kept & {
      token: string;
    };
    const { address, token } = account;
    writeFileSync(tokenFile(folder, who), `${token}\n`, { mode: 0o600 });
    writeFileSync(join(folder, `${who}.json`), `${JSON.stringify({ url, address })}\n`, { mode: 0o600 });
    return { rest: openRest({ url, token }), address };
  } catch (error) {
    if (!(error instanceof RestError) || error.code !== "registration-closed") throw error;
    throw new CommandError(
      `Nobody can register at ${url}: give the token of an account with --token or TIDINGS_TOKEN.`,
    );
  }
}

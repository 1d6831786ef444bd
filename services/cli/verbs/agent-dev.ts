// tidings agent dev: an agent while it is written, loaded anew whenever it is saved.
// In: the agent's file. Out: what it hears and does. Never: a stop because a version of it is wrong; the one before goes on.
import { type FSWatcher, watch } from "node:fs";
import { basename, join } from "node:path";
import type { OutsideOptions } from "../../../agents/outside/run.ts";
import { causeOf } from "../cause.ts";
import { failureOf } from "../failure.ts";
import { narrate } from "../narration.ts";
import { claim, configOf, openStoreOf, outsideFlags, usualFolder } from "../outside.ts";
import { playAccounts } from "../play-accounts.ts";
import { type Given, ownAddress, type Verb } from "../verb.ts";

/** An editor writes a file in several steps. */
const settleMs = 40;

export const dev: Verb = {
  typed: "dev <file>",
  summary: "run an agent while you write it: loaded anew on each save",
  more: "Without a token it makes an account to play with, and a friend of it, where the broker lets anybody register.",
  flags: outsideFlags,
  async run(given) {
    const { args, flags, print, tell, isJson, signal } = given;
    const [file = ""] = args;
    // No other verb waits for these to be read.
    const [{ openLoader }, { runOutside }] = await Promise.all([
      import("../../../agents/outside/load.ts"),
      import("../../../agents/outside/run.ts"),
    ]);
    const config = configOf(flags.config);
    const loader = openLoader(file);
    let agent: OutsideOptions["agent"] | undefined = await loader.load();
    const { name } = agent;
    const folder = join(flags.data ?? usualFolder, "dev");
    const { rest, address, isPlay } = await accountFor(given, name, folder);
    using store = openStoreOf(`${name}.${address.split("@")[0]}`, folder);
    await claim(store, address, folder);
    const narration = narrate({ print, isJson }, process.stdout.isTTY === true);
    if (!isJson) {
      const lines = await causeOf({ agent, config, rest, address, folder: isPlay ? folder : undefined });
      for (const line of lines) print(line);
    }
    using saves = openSaves(loader.folders, signal);

    while (!signal.aborted) {
      const stop = new AbortController();
      const ending = AbortSignal.any([signal, stop.signal]);
      const running =
        agent &&
        runOutside({ agent, config, rest, store, acknowledges: isPlay, signal: ending, ...narration });
      // What ends it is told at once; a save may put it right.
      const over = running?.then(undefined, (error) => tell(`tidings: ${failureOf(error).line}`));
      agent = await nextVersion();
      stop.abort();
      await over;
    }

    async function nextVersion(): Promise<OutsideOptions["agent"] | undefined> {
      while (await saves.next()) {
        try {
          const next = await loader.load();
          saves.look();
          if (!isJson) print(`${basename(file)} was saved: ${next.name} ${next.version} goes on with it.`);
          return next;
        } catch (error) {
          tell(`tidings: ${failureOf(error).line} The version before goes on.`);
        }
      }
      return undefined;
    }
  },
};

async function accountFor(
  { rest, tell }: Given,
  name: string,
  folder: string,
): Promise<{ rest: Given["rest"]; address: string; isPlay: boolean }> {
  if (rest.token !== undefined) return { rest, address: await ownAddress(rest), isPlay: false };
  const { bot, botAddress, friendAddress, isNew } = await playAccounts(rest.url, name, folder);
  const made = isNew ? "was registered for it to play with" : "is used again";
  tell(`No token was given: ${botAddress} ${made}, and has one contact, ${friendAddress}.`);
  return { rest: bot, address: botAddress, isPlay: true };
}

interface Saves extends Disposable {
  /** After the next save; false at the end. */
  next(): Promise<boolean>;
  /** The folders may be others now. */
  look(): void;
}

function openSaves(folders: ReadonlySet<string>, signal: AbortSignal): Saves {
  const watchers = new Map<string, FSWatcher>();
  let wake = Promise.withResolvers<boolean>();
  let settling: NodeJS.Timeout | undefined;
  function saved(_: string, name: string | null): void {
    if (name === null || !/\.(?:[cm]?[jt]s|json)$/.test(name) || /\.test\./.test(name)) return;
    clearTimeout(settling);
    settling = setTimeout(() => wake.resolve(true), settleMs);
  }
  function look(): void {
    for (const folder of folders) if (!watchers.has(folder)) watchers.set(folder, watch(folder, saved));
  }
  signal.addEventListener("abort", () => wake.resolve(false), { once: true });
  look();
  return {
    look,
    async next() {
      const goesOn = await wake.promise;
      if (!signal.aborted) wake = Promise.withResolvers();
      return goesOn && !signal.aborted;
    },
    [Symbol.dispose]() {
      clearTimeout(settling);
      for (const watcher of watchers.values()) watcher.close();
    },
  };
}

// Claims: items of one kind of work, each worked on by exactly one of the living brokers.
// In: items, who lives. Out: work that is begun and ended, progress that only its holder can save. Never: two brokers that save progress for the same item.
//
// Which broker an item falls to is decided by hashing it with the name of each (rendezvous hashing), so that few items move
// when a broker comes or goes. Who lets go says so in the log; of whoever is dead it is taken.
import { randomBytes } from "node:crypto";
import type { Json } from "../core/json.ts";
import { Turns } from "../core/turns.ts";
import type { Follower } from "../store/follower.ts";
import { Conflict, type Fact, type Log } from "../store/log.ts";
import { escapeToken, nameOf } from "../store/subjects.ts";
import type { Brokers } from "./brokers.ts";
import { ClaimLost, type Division, type Working } from "./claim.ts";
import { bodyOf, wireOf } from "./claim-facts.ts";
import { winner } from "./winner.ts";

export interface ClaimDeps {
  readonly prefix: string;
  readonly log: Log;
  readonly follower: Follower;
  readonly brokers: Pick<Brokers, "id" | "alive" | "isStanding">;
  readonly working: Working;
  readonly onTrouble: (message: string) => void;
}

export interface Claims extends Division {
  /** Somebody came or went. */
  look(): void;
}

interface Item {
  readonly name: string;
  isWanted: boolean;
  held: Held | undefined;
  /** It is being settled; asked again meanwhile, once more. */
  settling: Promise<void> | undefined;
  isAsked: boolean;
  failures: number;
  timer: NodeJS.Timeout | undefined;
}

interface Held {
  readonly hold: string;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  position: number;
  saving: Promise<void>;
}

const roundsMax = 20;
const againMs = 1_000;
const againMsMax = 30_000;
/** What is left of an item that is no more. */
const tombstoneSeconds = 3600;
const settlingAtOnce = 64;

export function openClaims({ prefix, log, follower, brokers, working, onTrouble }: ClaimDeps): Claims {
  const items = new Map<string, Item>();
  const listening = follower.listen({ take });
  const turns = new Turns(settlingAtOnce);
  let isOver = false;

  const subjectOf = (name: string): string => `${prefix}.${escapeToken(name)}`;

  function take(fact: Fact): void {
    if (!fact.subject.startsWith(`${prefix}.`)) return;
    const item = items.get(nameOf(fact.subject));
    if (item === undefined) return;
    const { hold } = wireOf(fact);
    // What it wrote itself is no news, nor what came before.
    if (item.held && (hold === item.held.hold || fact.position <= item.held.position)) return;
    item.held?.stop.abort();
    ask(item);
  }

  function isMine(item: Item): boolean {
    return item.isWanted && fallsHere(item);
  }

  function fallsHere({ name }: Item): boolean {
    const { id, alive, isStanding } = brokers;
    return !isOver && isStanding && winner(name, alive) === id;
  }

  function ask(item: Item): void {
    clearTimeout(item.timer);
    item.isAsked = true;
    item.settling ??= turns
      .run(() => settle(item))
      .finally(() => {
        item.settling = undefined;
        if (item.isAsked && !isOver) ask(item);
      });
  }

  async function settle(item: Item): Promise<void> {
    item.isAsked = false;
    try {
      const { held } = item;
      if (held && (held.stop.signal.aborted || !isMine(item))) await letGo(item, held);
      if (item.held === undefined && isMine(item)) await takeUp(item);
      if (item.isWanted || item.held) return;
      if (fallsHere(item)) await forget(item);
      // It may be wanted again by now.
      if (!item.isWanted) items.delete(item.name);
    } catch (error) {
      if (!(error instanceof Conflict)) onTrouble(`work could not be divided: ${(error as Error).message}`);
      askLater(item, againMs);
    }
  }

  function askLater(item: Item, ms: number): void {
    clearTimeout(item.timer);
    item.timer = setTimeout(() => ask(item), ms);
    item.timer.unref();
  }

  async function takeUp(item: Item): Promise<void> {
    const subject = subjectOf(item.name);
    const fact = await log.last(subject);
    const { by, progress } = wireOf(fact);
    const { id, alive } = brokers;
    if (by !== undefined && by !== id && alive.has(by)) {
      // Whoever holds it is told by the same log that it falls to this one, and lets go.
      askLater(item, againMs);
      return;
    }
    const hold = randomBytes(6).toString("base64url");
    const body = bodyOf({ by: id, hold, progress });
    const position = await log.append([{ subject, body, expected: fact?.position ?? 0 }]);
    begin(item, hold, position, progress);
  }

  function begin(item: Item, hold: string, position: number, progress: Json | undefined): void {
    const stop = new AbortController();
    const held: Held = {
      hold,
      stop,
      position,
      saving: Promise.resolve(),
      ended: Promise.resolve().then(async () => {
        if (stop.signal.aborted) return;
        try {
          await working({
            item: item.name,
            progress,
            save: (next) => save(item, held, next),
            signal: stop.signal,
          });
          item.failures = 0;
        } catch (error) {
          if (stop.signal.aborted) return;
          onTrouble(`work on ${item.name} failed: ${(error as Error).message}`);
          item.failures++;
          const waitMs = Math.min(againMsMax, againMs * 2 ** item.failures);
          const timer = setTimeout(() => {
            stop.abort();
            ask(item);
          }, waitMs);
          timer.unref();
        }
      }),
    };
    item.held = held;
  }

  function save(item: Item, held: Held, progress: Json): Promise<void> {
    const saving = held.saving
      .catch(() => undefined)
      .then(async () => {
        if (held.stop.signal.aborted) throw new ClaimLost(`${item.name} is worked on elsewhere`);
        await write(item, held, progress);
      });
    held.saving = saving;
    return saving;
  }

  async function write(item: Item, held: Held, progress: Json): Promise<void> {
    const subject = subjectOf(item.name);
    const body = bodyOf({ by: brokers.id, hold: held.hold, progress });
    for (let round = 0; round < roundsMax; round++) {
      try {
        held.position = await log.append([{ subject, body, expected: held.position }]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        const fact = await log.last(subject);
        // An earlier write that nobody answered may have arrived all the same.
        if (fact && wireOf(fact).hold === held.hold) held.position = fact.position;
        else {
          held.stop.abort();
          ask(item);
          throw new ClaimLost(`${item.name} is worked on elsewhere`);
        }
      }
    }
  }

  async function letGo(item: Item, held: Held): Promise<void> {
    held.stop.abort();
    await held.ended;
    await held.saving.catch(() => undefined);
    const subject = subjectOf(item.name);
    const fact = await log.last(subject);
    const { by, progress } = wireOf(fact);
    // Somebody from outside may have put other progress in its place; if somebody else holds it, it is gone already.
    if (fact !== undefined && by === brokers.id) {
      const left = item.isWanted
        ? { body: bodyOf({ progress }) }
        : { body: "{}", keepSeconds: tombstoneSeconds };
      await log.append([{ subject, expected: fact.position, ...left }]);
    }
    item.held = undefined;
  }

  /** What nobody held when it was removed. */
  async function forget({ name }: Item): Promise<void> {
    const subject = subjectOf(name);
    const fact = await log.last(subject);
    if (fact === undefined || fact.body === "{}") return;
    const { by } = wireOf(fact);
    // Whoever holds it forgets it when it lets go.
    if (by !== undefined && by !== brokers.id && brokers.alive.has(by)) return;
    await log.append([{ subject, body: "{}", expected: fact.position, keepSeconds: tombstoneSeconds }]);
  }

  async function reset(name: string, next: (present: Json | undefined) => Json): Promise<void> {
    const subject = subjectOf(name);
    for (let round = 0; ; round++) {
      const fact = await log.last(subject);
      const { by, progress } = wireOf(fact);
      const body = bodyOf({ by, progress: next(progress) });
      try {
        await log.append([{ subject, body, expected: fact?.position ?? 0 }]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict) || round >= roundsMax) throw error;
      }
    }
  }

  return {
    add(name) {
      const item = items.get(name) ?? {
        name,
        isWanted: true,
        held: undefined,
        settling: undefined,
        isAsked: false,
        failures: 0,
        timer: undefined,
      };
      item.isWanted = true;
      items.set(name, item);
      ask(item);
    },
    remove(name) {
      const item = items.get(name);
      if (item === undefined) return;
      item.isWanted = false;
      ask(item);
    },
    async progress(name) {
      const fact = await log.last(subjectOf(name));
      return wireOf(fact).progress;
    },
    reset,
    holds: (name) => items.get(name)?.held?.stop.signal.aborted === false,
    look() {
      for (const item of items.values()) {
        // Before its turn to settle: others may have begun.
        if (!isMine(item)) item.held?.stop.abort();
        if (item.settling || (item.held !== undefined) !== isMine(item)) ask(item);
      }
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      listening[Symbol.dispose]();
      await Promise.all(
        [...items.values()].map(async (item) => {
          clearTimeout(item.timer);
          item.held?.stop.abort();
          await item.settling;
          clearTimeout(item.timer);
          if (item.held) await letGo(item, item.held).catch(() => undefined);
        }),
      );
    },
  };
}

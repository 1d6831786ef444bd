// Notices: who wants to know. Whoever watches or reads is made known to the owner before it is told anything.
// In: watches and reads, granted or refused. Out: facts under the owner's node, which its streams tell of. Never: a notice that comes after the first value, or one that whoever is watched cannot hear of.
import { createHash } from "node:crypto";
import { type Address, rootOf } from "../core/address.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import type { Json } from "../core/json.ts";
import { actorOf } from "../core/principal.ts";
import { after, type Soon } from "../core/soon.ts";
import type { Look, Seen } from "../property/properties.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log, LogUnavailable } from "../store/log.ts";
import { factsOfNode, subjectOf } from "../store/subjects.ts";
import { subscriptionOf } from "./subscription-facts.ts";
import {
  anonymous,
  type Key,
  type Verification,
  type WatcherFact,
  wasLetIn,
  watcherBody,
  watcherOf,
  watcherSubject,
} from "./watcher-facts.ts";

/** A watch, as its owner is told of it. */
export interface Watched {
  readonly look: Look;
  readonly node: Address;
  /** Names and patterns. */
  readonly properties: readonly string[];
  /** The subscription, or whatever else tells this watch from others. */
  readonly id: string;
  /** Whether the watcher keeps it for longer than its stream is open. */
  readonly isKept: boolean;
  /** Nobody can have been told of it yet. */
  readonly isNew?: boolean;
}

export interface Notices extends Disposable {
  /** Resolves when the owner can hear of it; at once where it has heard of it before. */
  started(watched: Watched): Soon<void>;
  /** The owner may answer it. @param isStill asked in the moment in which the owner is told */
  pending(watched: Watched, isStill: () => boolean): void;
  /** @param isBack whether it began again before the owner was told */
  ended(node: Address, watcher: string, id: string, isBack?: () => boolean): void;
  /** Resolves when the owner can hear of it: once a minute for each watcher and property. */
  fetched(look: Look, node: Address, names: readonly string[]): Soon<void>;
  /** The same for many nodes, which costs little more than for one. */
  fetchedAll(look: Look, seen: readonly Seen[]): Promise<void>;
  /** Somebody asked in vain: seen by the owner only. */
  denied(look: Look, node: Address, names: readonly string[]): void;
  /** All that the log holds of an account's watchers. @throws TooMuch */
  of(owner: Address, charactersMax?: number): Promise<readonly Fact[]>;
}

export interface NoticeDeps {
  readonly log: Log;
  readonly heads: Heads;
  readonly now: () => number;
  readonly verify: (watcher: Address) => Promise<Verification>;
  readonly onTrouble: (message: string) => void;
}

interface PutOptions extends Pick<Partial<Watched>, "isKept" | "isNew"> {
  /** What owners were told before, by subject, where that was just read. */
  readonly said?: Said | undefined;
}

type Said = ReadonlyMap<string, Fact | undefined>;

interface Recent {
  readonly atMs: number;
  /** Reads since. */
  count: number;
  /** The notice while it is on its way. */
  telling: Promise<void> | undefined;
}

/** The owner is told of reads so often. */
const fetchedMs = 60_000;
const asideMsMax = 400;
/** Watchers and properties whose last notice is remembered. */
const recentMax = 50_000;
const roundsMax = 20;

export function openNotices({ log, heads, now, verify, onTrouble }: NoticeDeps): Notices {
  /** When the owner was last told of a read, and how many came since. The first is the one that was told longest ago. */
  const recent = new Map<string, Recent>();

  async function put(
    look: Look,
    node: Address,
    key: Key,
    said: Pick<WatcherFact, "state" | "properties" | "subscription" | "count">,
    { isKept = false, isNew = false, said: known }: PutOptions = {},
  ): Promise<void> {
    const watcher = look.caller ? actorOf(look.caller).text : anonymous;
    const subject = watcherSubject(node, watcher, key);
    const verified = look.caller && (await verify(look.caller.address));
    for (let round = 0; round < roundsMax; round++) {
      const isFirst = round === 0;
      const isKnown = isFirst && (isNew || known?.has(subject));
      const fact = isKnown ? known?.get(subject) : await lastOf(subject, isKept && isFirst);
      const before = fact && watcherOf(fact);
      if (fact && before && isSaid(before, said, now())) return;
      const atMs = Math.floor(now());
      const isOn = before !== undefined && before.state !== "ended";
      const body = watcherBody({
        ...said,
        watcher,
        node: node.text,
        via: look.via,
        atMs,
        sinceMs: isOn ? before.sinceMs : atMs,
        ...(look.disclosed.size > 0 && {
          revealed: Object.fromEntries(look.disclosed) as Record<string, Json>,
        }),
        ...(verified && { verified }),
        wasLetIn: wasLetIn(said) || (before !== undefined && wasLetIn(before)),
      });
      const append = { subject, body, expected: fact?.position ?? 0 };
      try {
        // What is of the moment is not worth remembering: thousands may come and go.
        if (isKept) await heads.append([append]);
        else await log.append([{ ...append, keepSeconds: tombstoneSeconds }]);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept telling of the same watcher");
  }

  async function lastOf(subject: string, isRemembered: boolean): Promise<Fact | undefined> {
    return isRemembered ? await heads.get(subject) : await log.last(subject);
  }

  /**
   * Nobody waits for it: what is asked in vain takes as long whether there is an owner or not. And it is done at some other
   * time, so that it does not hold up what is asked next either.
   */
  function aside(act: () => Promise<void>): void {
    const run = (): void => {
      act().catch((error: Error) => onTrouble(`an owner could not be told of a watcher: ${error.message}`));
    };
    setTimeout(run, Math.random() * asideMsMax).unref();
  }

  async function isThere(node: Address): Promise<boolean> {
    const fact = await heads.get(subjectOf(rootOf(node), "node"));
    return fact !== undefined && nodeOf(fact) !== undefined;
  }

  /** Tells the owner of a read, unless it was told of the same within the last minute. Resolves when it has been. */
  function tell(
    look: Look,
    node: Address,
    names: readonly string[],
    state: "fetched" | "denied",
    said?: Said,
  ): Soon<unknown> {
    const nowMs = now();
    const fresh = new Map<string, Recent>();
    const telling: Promise<void>[] = [];
    let count = 1;
    for (const name of names) {
      const key = `${state} ${look.caller ? actorOf(look.caller).text : ""} ${node.text} ${name}`;
      const last = recent.get(key);
      if (last && nowMs - last.atMs < fetchedMs) {
        last.count++;
        if (last.telling) telling.push(last.telling);
        continue;
      }
      count = Math.max(count, (last?.count ?? 0) + 1);
      const entry = { atMs: nowMs, count: 0, telling: undefined };
      recent.delete(key);
      recent.set(key, entry);
      fresh.set(key, entry);
    }
    makeRoom();
    if (fresh.size > 0) telling.push(tellOf(look, node, fresh, { state, count, said }));
    if (telling.length > 0) return Promise.all(telling);
  }

  async function tellOf(
    look: Look,
    node: Address,
    fresh: ReadonlyMap<string, Recent>,
    { said, ...how }: { state: "fetched" | "denied"; count: number; said: Said | undefined },
  ): Promise<void> {
    const properties = [...fresh.keys()].map((key) => key.slice(key.lastIndexOf(" ") + 1));
    const telling = put(look, node, readKey(node, properties), { ...how, properties }, { said });
    for (const entry of fresh.values()) entry.telling = telling;
    try {
      await telling;
    } catch (error) {
      for (const key of fresh.keys()) recent.delete(key);
      throw error;
    } finally {
      for (const entry of fresh.values()) entry.telling = undefined;
    }
  }

  async function saidTo(watcher: string, seen: readonly Seen[]): Promise<Said> {
    const subjects = seen.map(({ node, names }) => watcherSubject(node, watcher, readKey(node, names)));
    if (subjects.length === 0) return new Map();
    const { facts } = await log.snapshot(subjects);
    const found = new Map(facts.map((fact) => [fact.subject, fact]));
    return new Map(subjects.map((subject) => [subject, found.get(subject)]));
  }

  function makeRoom(): void {
    for (const key of recent.keys()) {
      if (recent.size <= recentMax) return;
      recent.delete(key);
    }
  }

  async function isHeld(subscriber: Address, id: string): Promise<boolean> {
    const fact = await heads.get(subjectOf(rootOf(subscriber), "subscription", id));
    return fact !== undefined && subscriptionOf(fact) !== undefined;
  }

  function isOwner(look: Look, node: Address): boolean {
    return look.caller?.address.text === rootOf(node).text;
  }

  return {
    started({ look, node, properties, id, isKept, isNew = false }) {
      if (isOwner(look, node)) return;
      if (look.caller === undefined) return this.fetched(look, node, properties);
      const subscription = isKept ? id : undefined;
      return put(look, node, `w${id}`, { state: "started", properties, subscription }, { isKept, isNew });
    },
    pending({ look, node, properties, id, isKept }, isStill) {
      const { caller } = look;
      if (isOwner(look, node) || caller === undefined) return;
      const subscription = isKept ? id : undefined;
      aside(async () => {
        if (!(await isThere(node)) || (isKept && !(await isHeld(caller.address, id))) || !isStill()) return;
        await put(look, node, `w${id}`, { state: "pending", properties, subscription }, { isKept });
      });
    },
    ended(node, watcher, id, isBack = () => false) {
      aside(async () => {
        if (isBack()) return;
        const subject = watcherSubject(node, watcher, `w${id}`);
        const fact = await log.last(subject);
        const before = fact && watcherOf(fact);
        if (fact === undefined || before === undefined || before.state === "ended") return;
        const said = { ...before, wasLetIn: wasLetIn(before) };
        const body = watcherBody({ ...said, state: "ended", atMs: Math.floor(now()) });
        await log.append([{ subject, body, expected: fact.position, keepSeconds: tombstoneSeconds }]);
      });
    },
    fetched(look, node, names) {
      if (isOwner(look, node)) return;
      // Who is nobody in particular is counted, and held up by nothing.
      if (look.caller === undefined) aside(async () => void (await tell(look, node, names, "fetched")));
      else return after(tell(look, node, names, "fetched"), () => undefined);
    },
    async fetchedAll(look, seen) {
      const { caller } = look;
      const others = seen.filter(({ node }) => !isOwner(look, node));
      const said = caller && (await saidTo(actorOf(caller).text, others));
      for (const { node, names } of others) if (!caller) this.fetched(look, node, names);
      if (caller)
        await Promise.all(others.map(({ node, names }) => tell(look, node, names, "fetched", said)));
    },
    denied(look, node, names) {
      if (isOwner(look, node) || look.caller === undefined) return;
      aside(async () => {
        if (await isThere(node)) await tell(look, node, names, "denied");
      });
    },
    async of(owner, charactersMax) {
      return (await log.snapshot([factsOfNode(owner, "watcher")], charactersMax)).facts;
    },
    [Symbol.dispose]: () => recent.clear(),
  };
}

/** Whether the owner has been told just this. */
function isSaid(
  before: WatcherFact,
  said: Pick<WatcherFact, "state" | "properties">,
  nowMs: number,
): boolean {
  if (before.state !== said.state || String(before.properties) !== String(said.properties)) return false;
  return said.state === "started" || said.state === "pending" || nowMs - before.atMs < fetchedMs;
}

/** The same for the same names of the same node, and short however many they are. */
function readKey(node: Address, names: readonly string[]): Key {
  const what = [...node.path, "", ...names].join("/");
  return `r${createHash("sha256").update(what).digest("base64url").slice(0, 16)}`;
}

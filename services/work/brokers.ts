// Brokers: which of them are alive, by the heartbeats that they leave in the log.
// In: the log of work, a clock. Out: who lives, and whether this one may still act. Never: a broker that acts after others have taken it for dead.
import { randomBytes } from "node:crypto";
import type { Follower } from "../store/follower.ts";
import { Conflict, type Fact, type Log } from "../store/log.ts";
import { escapeToken, nameOf } from "../store/subjects.ts";

export interface Brokers extends AsyncDisposable {
  /** This run of this broker. */
  readonly id: string;
  /** Those that live, this one among them while it stands. */
  readonly alive: ReadonlySet<string>;
  /** Whether nobody can have taken this one for dead. */
  readonly isStanding: boolean;
}

export interface BrokersDeps {
  readonly domain: string;
  readonly log: Log;
  readonly follower: Follower;
  /** Somebody came or went. */
  readonly onChange: () => void;
  readonly onTrouble: (message: string) => void;
  readonly times?: BeatTimes | undefined;
}

export interface BeatTimes {
  readonly everyMs: number;
  /** Without a heartbeat for so long a broker counts as dead. */
  readonly deadMs: number;
}

const usualBeats: BeatTimes = { everyMs: 2_500, deadMs: 10_000 };
/** It stops itself earlier than the others take over, in parts of that time. */
const fencePart = 0.75;
const keepSeconds = 3600;

/** Nobody else can be on the same store: whoever was before is gone. */
export function aloneBroker(): Brokers {
  const id = randomBytes(9).toString("base64url");
  return { id, alive: new Set([id]), isStanding: true, [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Resolves once its first heartbeat is in the log, and those of others are known. */
export async function openBrokers(deps: BrokersDeps): Promise<Brokers> {
  const { domain, log, follower, onChange, onTrouble, times = usualBeats } = deps;
  const id = randomBytes(9).toString("base64url");
  const prefix = `w.${escapeToken(domain)}.broker`;
  const subject = `${prefix}.${id}`;
  /** When the last heartbeat of each came, by this process's own clock. */
  const heard = new Map<string, number>();
  let alive: ReadonlySet<string> = new Set();
  let position = 0;
  let ackedMs = Number.NEGATIVE_INFINITY;
  let isGone = false;

  const listening = follower.listen({ take });
  for (const fact of (await log.snapshot([`${prefix}.*`])).facts) take(fact);
  await beat();
  look();
  const beating = setInterval(() => void beat(), times.everyMs);
  const looking = setInterval(look, Math.max(50, times.deadMs / 10));
  beating.unref();
  looking.unref();

  function take(fact: Fact): void {
    if (!fact.subject.startsWith(`${prefix}.`)) return;
    const one = nameOf(fact.subject);
    if (fact.body === "gone") heard.delete(one);
    else if (one !== id) heard.set(one, performance.now());
    if (alive.has(one) !== heard.has(one) && one !== id) queueMicrotask(look);
  }

  async function beat(): Promise<void> {
    const sentMs = performance.now();
    try {
      position = await log.append([{ subject, body: "here", expected: position, keepSeconds }]);
      ackedMs = sentMs;
    } catch (error) {
      // An earlier one that nobody answered may have arrived all the same.
      if (error instanceof Conflict)
        position = (await log.last(subject).catch(() => undefined))?.position ?? 0;
      else onTrouble(`no heartbeat could be left: ${(error as Error).message}`);
    }
    look();
  }

  function isStanding(): boolean {
    return !isGone && performance.now() - ackedMs < times.deadMs * fencePart;
  }

  function look(): void {
    const nowMs = performance.now();
    for (const [one, atMs] of heard) if (nowMs - atMs >= times.deadMs) heard.delete(one);
    const next = new Set(heard.keys());
    if (isStanding()) next.add(id);
    const isSame = next.size === alive.size && [...next].every((one) => alive.has(one));
    alive = next;
    if (!isSame) onChange();
  }

  return {
    id,
    get alive() {
      return alive;
    },
    get isStanding() {
      return isStanding();
    },
    async [Symbol.asyncDispose]() {
      isGone = true;
      clearInterval(beating);
      clearInterval(looking);
      listening[Symbol.dispose]();
      await log.append([{ subject, body: "gone", expected: position, keepSeconds }]).catch(() => undefined);
    },
  };
}

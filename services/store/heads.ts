// Heads: what this broker knows of the last facts of subjects, so that a write need not read first.
// In: own acknowledged facts and the feed. Out: a subject's last fact as last known. Never: the last word; each append carries the position it relied on.
import type { Soon } from "../core/soon.ts";
import type { Append, Fact, Log } from "./log.ts";

export interface Heads {
  /** The last fact as known here, read from the log if it is not known. */
  get(subject: string): Soon<Fact | undefined>;
  /** What is known without asking the log. */
  peek(subject: string): Fact | undefined;
  /** Forgets what is known and reads it from the log: after a conflict, and where only the truth will do. */
  refresh(subject: string): Promise<Fact | undefined>;
  /** Appends to the log and remembers it. @returns the position of the first fact */
  append(facts: readonly Append[]): Promise<number>;
  /**
   * Takes in what the feed brought, but only for subjects that somebody asked for; and tells the fact what is known of it,
   * so that whoever follows after need not read what was written here.
   */
  follow(fact: Fact): void;
}

interface Entry {
  readonly fact: Fact | undefined;
  readonly bytes: number;
  /** Asked for since it was last looked over: it stays for another round. */
  used: boolean;
}

const entryBytes = 200;

export function openHeads(log: Log, bytesMax: number, now: () => number): Heads {
  // A Map keeps the order of insertion: its first key has been there for longest.
  const known = new Map<string, Entry>();
  const reading = new Map<string, Promise<Fact | undefined>>();
  let bytes = 0;

  function keep(subject: string, fact: Fact | undefined): void {
    const older = known.get(subject);
    const entry = { fact, bytes: entryBytes + 2 * subject.length + (fact?.body.length ?? 0), used: true };
    known.set(subject, entry);
    bytes += entry.bytes - (older?.bytes ?? 0);
    if (bytes > bytesMax) makeRoom();
  }

  function makeRoom(): void {
    for (const [subject, entry] of known) {
      if (bytes <= bytesMax) return;
      known.delete(subject);
      if (entry.used) {
        entry.used = false;
        known.set(subject, entry);
      } else {
        bytes -= entry.bytes;
      }
    }
  }

  function drop(subject: string): void {
    const entry = known.get(subject);
    if (entry === undefined) return;
    known.delete(subject);
    bytes -= entry.bytes;
  }

  function learn(fact: Fact): void {
    const position = known.get(fact.subject)?.fact?.position ?? 0;
    if (fact.position > position) keep(fact.subject, fact);
  }

  function read(subject: string): Promise<Fact | undefined> {
    const started = log.last(subject).then((fact) => {
      if (reading.get(subject) === started) reading.delete(subject);
      // Something newer may have come by the feed while this read was on its way.
      const newer = known.get(subject)?.fact;
      if (newer !== undefined && newer.position > (fact?.position ?? 0)) return newer;
      keep(subject, fact);
      return fact;
    });
    started.catch(() => {
      if (reading.get(subject) === started) reading.delete(subject);
    });
    reading.set(subject, started);
    return started;
  }

  function remember(facts: readonly Append[], first: number): void {
    const timeMs = now();
    const end = first + facts.length - 1;
    let position = first;
    for (const { subject, of, body, decodedAt } of facts) {
      // A note that relies on another subject is never written over; and the feed may have brought it first.
      if (of === undefined && position > (known.get(subject)?.fact?.position ?? 0)) {
        const decoded = decodedAt && { value: decodedAt(position) };
        keep(subject, { subject, position, timeMs, body, groupEnd: end, decoded });
      }
      position++;
    }
  }

  return {
    append: (facts) =>
      log.append(facts).then((first) => {
        remember(facts, first);
        return first;
      }),
    get(subject) {
      const entry = known.get(subject);
      if (entry === undefined) return reading.get(subject) ?? read(subject);
      entry.used = true;
      return entry.fact;
    },
    peek: (subject) => known.get(subject)?.fact,
    async refresh(subject) {
      drop(subject);
      return await read(subject);
    },
    follow(fact) {
      // What it means for a subject, the subject's own fact will say.
      if (fact.basis) return;
      const entry = known.get(fact.subject);
      if (entry === undefined && !reading.has(fact.subject)) return;
      const same = entry?.fact;
      if (same?.position === fact.position) fact.decoded ??= same.decoded;
      else learn(fact);
    },
  };
}

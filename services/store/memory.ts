// The log in memory: the twin of JetStream for tests that need no server, under the same contract.
// In: appends. Out: facts and feeds. Never: durability; no broker is started on it.
import { type Append, Conflict, type Fact, type Log, type Snapshot, TooMuch } from "./log.ts";

export interface MemoryLog extends Log {
  /** Forgets what is older than its `keepSeconds`, as of this time. */
  forget(nowMs: number): void;
}

export function openMemoryLog(options: { epoch?: string; now?: () => number } = {}): MemoryLog {
  const { epoch = "memory", now = Date.now } = options;
  const table = new Map<string, Fact>();
  const keepUntilMs = new Map<string, number>();
  const followers = new Set<(facts: readonly Fact[]) => void>();
  let end = 0;

  function requireExpected(appends: readonly Append[]): void {
    for (const { subject, of = subject, expected } of appends) {
      const position = table.get(of)?.position ?? 0;
      if (position !== expected) throw new Conflict(`${of} stands at ${position}, not at ${expected}`);
    }
  }

  async function append(appends: readonly Append[]): Promise<number> {
    await Promise.resolve();
    requireExpected(appends);
    return apply(appends);
  }

  function apply(appends: readonly Append[]): number {
    const first = end + 1;
    const groupEnd = end + appends.length;
    const timeMs = now();
    const facts = appends.map(({ subject, body }) => ({ subject, position: ++end, timeMs, body, groupEnd }));
    for (const [index, fact] of facts.entries()) {
      // Deleting first keeps the table in the order of positions.
      table.delete(fact.subject);
      table.set(fact.subject, fact);
      const keepSeconds = appends[index]?.keepSeconds;
      if (keepSeconds === undefined) keepUntilMs.delete(fact.subject);
      else keepUntilMs.set(fact.subject, timeMs + keepSeconds * 1000);
    }
    for (const follower of followers) follower(facts);
    return first;
  }

  async function snapshot(filters: readonly string[], charactersMax = Infinity): Promise<Snapshot> {
    await Promise.resolve();
    const matches = filters.map(matchSubject);
    const facts = [...table.values()].filter((fact) => matches.some((match) => match(fact.subject)));
    if (facts.reduce((sum, { body }) => sum + body.length, 0) > charactersMax) throw new TooMuch();
    return { facts: facts.sort((a, b) => a.position - b.position), position: end };
  }

  async function* feed(after: number, signal: AbortSignal): AsyncGenerator<readonly Fact[]> {
    let waiting = [...table.values()].filter((fact) => fact.position > after);
    waiting.sort((a, b) => a.position - b.position);
    let wake: () => void = () => undefined;
    const follower = (facts: readonly Fact[]): void => {
      waiting.push(...facts);
      wake();
    };
    const stop = (): void => wake();
    followers.add(follower);
    signal.addEventListener("abort", stop);
    try {
      while (!signal.aborted) {
        if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const batch = waiting;
        waiting = [];
        if (batch.length > 0 && !signal.aborted) yield batch;
      }
    } finally {
      followers.delete(follower);
      signal.removeEventListener("abort", stop);
    }
  }

  function forget(nowMs: number): void {
    for (const [subject, untilMs] of keepUntilMs) {
      if (untilMs > nowMs) continue;
      table.delete(subject);
      keepUntilMs.delete(subject);
    }
  }

  return {
    epoch,
    append,
    snapshot,
    feed,
    forget,
    last: async (subject) => table.get(subject),
    lastGiven: async () => end,
    end: async () => [...table.values()].at(-1)?.position ?? 0,
  };
}

/** Matches a subject as NATS does: `*` is one token, `>` at the end is one or more. */
function matchSubject(filter: string): (subject: string) => boolean {
  const wanted = filter.split(".");
  const wildAt = filter.search(/[*>]/);
  if (wildAt < 0) return (subject) => subject === filter;
  const begins = filter.slice(0, wildAt);
  return (subject) => {
    // Most are told apart by how they begin, which is sooner seen than their tokens.
    if (!subject.startsWith(begins)) return false;
    const tokens = subject.split(".");
    for (const [index, want] of wanted.entries()) {
      if (want === ">") return tokens.length > index;
      if (want !== "*" && want !== tokens[index]) return false;
    }
    return tokens.length === wanted.length;
  };
}

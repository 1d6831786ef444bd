// Keeping: what one agent keeps in the log of work: its state, the steps of its runs, its timers (kept-timers.ts), its dead letters, its last runs.
// In: keys and values. Out: the same, durable when answered. Never: a read that is older than the agent's own last write.
import { createHash } from "node:crypto";
import type { AgentEvent } from "../../agents/events.ts";
import type { Json } from "../core/json.ts";
import { Conflict, type Fact, type Log, LogUnavailable } from "../store/log.ts";
import { escapeToken } from "../store/subjects.ts";
import { type KeptTimers, openKeptTimers } from "./kept-timers.ts";

export interface DeadLetter {
  readonly run: string;
  readonly event: AgentEvent;
  readonly error: string;
  readonly attempts: number;
  readonly atMs: number;
}

/** How a run went, as it is listed. */
export interface RunShape {
  readonly id: string;
  readonly event: {
    readonly id: string;
    readonly type: string;
    readonly node: string;
    readonly subject?: string;
  };
  readonly state: string;
  readonly attempts: number;
  /** RFC 3339 */
  readonly started: string;
  readonly ms: number;
  readonly error?: string;
  readonly log?: readonly string[];
}

export interface Keeping {
  state(key: string): Promise<Json | undefined>;
  keepState(key: string, value: Json | undefined): Promise<void>;
  allState(): Promise<{ readonly [key: string]: Json }>;
  step(run: string, name: string): Promise<{ value: Json } | undefined>;
  keepStep(run: string, name: string, value: Json): Promise<void>;
  readonly timers: KeptTimers;
  bury(letter: DeadLetter): Promise<void>;
  unbury(run: string): Promise<void>;
  dead(): Promise<readonly DeadLetter[]>;
  keepRuns(runs: readonly RunShape[]): Promise<void>;
  runs(): Promise<readonly RunShape[]>;
  /** All of it. */
  forget(): Promise<void>;
}

const kinds = ["state", "step", "timer", "aside", "dead", "runs"] as const;
type Kind = (typeof kinds)[number];

/** A step of an event that comes again later than this is done again. */
const stepSeconds = 7 * 24 * 3600;
const deadSeconds = 30 * 24 * 3600;
const tombstoneSeconds = 3600;
const roundsMax = 20;
const stateKeysMax = 1_000;
const deadShownMax = 1_000;
const gone = "null";

/** An agent keeps more than it may. */
export class KeepsTooMuch extends Error {
  override readonly name = "KeepsTooMuch";
}

export function openKeeping(log: Log, domain: string, id: string): Keeping {
  const prefixOf = (kind: Kind): string => `w.${escapeToken(domain)}.agent-${kind}.${escapeToken(id)}`;
  const subjectOf = (kind: Kind, name: string): string => `${prefixOf(kind)}.${escapeToken(name)}`;
  /** What was read or written last of the state; one broker at a time works on an agent. */
  const known = new Map<string, Fact | undefined>();

  async function put(subject: string, body: string, keepSeconds?: number): Promise<number> {
    for (let round = 0; round < roundsMax; round++) {
      const fact = await log.last(subject);
      const append = { subject, body, expected: fact?.position ?? 0 };
      try {
        return await log.append([keepSeconds === undefined ? append : { ...append, keepSeconds }]);
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept writing the same");
  }

  async function all(kind: Kind): Promise<readonly Fact[]> {
    const { facts } = await log.snapshot([`${prefixOf(kind)}.*`]);
    return facts.filter(({ body }) => body !== gone);
  }

  const stepSubject = (run: string, name: string): string =>
    subjectOf(
      "step",
      createHash("sha256")
        .update(JSON.stringify([run, name]))
        .digest("base64url"),
    );

  return {
    async state(key) {
      const subject = subjectOf("state", key);
      const fact = known.has(subject) ? known.get(subject) : await log.last(subject);
      if (known.size > stateKeysMax) known.clear();
      known.set(subject, fact);
      return fact === undefined || fact.body === gone ? undefined : (JSON.parse(fact.body) as Kept).value;
    },
    async keepState(key, value) {
      const subject = subjectOf("state", key);
      if (value === undefined) {
        await put(subject, gone, tombstoneSeconds);
        known.delete(subject);
        return;
      }
      const isNew = (await this.state(key)) === undefined;
      if (isNew && (await all("state")).length >= stateKeysMax) {
        throw new KeepsTooMuch(`An agent keeps ${stateKeysMax} keys at most; delete some.`);
      }
      known.delete(subject);
      await put(subject, JSON.stringify({ value, key } satisfies Kept));
    },
    async allState() {
      const kept = (await all("state")).map(({ body }) => JSON.parse(body) as Kept);
      return Object.fromEntries(kept.map(({ key, value }) => [key, value]));
    },
    async step(run, name) {
      const fact = await log.last(stepSubject(run, name));
      return fact && (JSON.parse(fact.body) as { value: Json });
    },
    async keepStep(run, name, value) {
      const append = {
        subject: stepSubject(run, name),
        body: JSON.stringify({ value }),
        keepSeconds: stepSeconds,
      };
      try {
        await log.append([{ ...append, expected: 0 }]);
      } catch (error) {
        // It was kept by a broker that is gone meanwhile: what it gave first counts.
        if (!(error instanceof Conflict)) throw error;
      }
    },
    timers: openKeptTimers({ log, of: id, prefix: prefixOf("timer"), asidePrefix: prefixOf("aside") }),
    bury: async (letter) =>
      void (await put(subjectOf("dead", hashOf(letter.run)), JSON.stringify(letter), deadSeconds)),
    async unbury(run) {
      const subject = subjectOf("dead", hashOf(run));
      if (await log.last(subject)) await put(subject, gone, tombstoneSeconds);
    },
    async dead() {
      const letters = (await all("dead")).map(({ body }) => JSON.parse(body) as DeadLetter);
      return letters.sort((a, b) => b.atMs - a.atMs).slice(0, deadShownMax);
    },
    keepRuns: async (runs) => void (await put(subjectOf("runs", "last"), JSON.stringify(runs))),
    async runs() {
      const fact = await log.last(subjectOf("runs", "last"));
      return fact && fact.body !== gone ? (JSON.parse(fact.body) as RunShape[]) : [];
    },
    async forget() {
      for (const kind of kinds) {
        for (const { subject } of await all(kind)) await put(subject, gone, tombstoneSeconds);
      }
      known.clear();
    },
  };
}

interface Kept {
  readonly key: string;
  readonly value: Json;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

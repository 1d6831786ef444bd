// Reading from JetStream by direct get: one subject's last fact, or the last facts of many with their resume point.
// In: subjects and filters. Out: facts. Never: a set of facts that lacks one, or shows half a group.
//
// nats.js hides the resume point of a batched direct get and leaks a subscription a call, so this speaks
// $JS.API.DIRECT.GET itself (ADR-31), over one inbox subscription for all calls.
import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { inParts } from "../core/parts.ts";
import { unseal } from "./envelope.ts";
import { type Fact, LogUnavailable, type Snapshot, TooMuch } from "./log.ts";
import { idHeader } from "./publish.ts";

export interface StoredFact extends Fact {
  readonly id: string;
  /** The place of this fact among those that were appended with it. */
  readonly groupIndex: number;
}

/** Of $JS.API.STREAM.MSG.GET. */
interface StoredAnswer {
  readonly message?: { readonly seq: number; readonly time: string; readonly data?: string };
}

interface Collecting {
  readonly facts: StoredFact[];
  /** Characters that may still come. */
  room: number;
  /** How many were to follow the last one: the server's own word at the end is off by one. */
  pending: number;
  readonly done: (outcome: "complete" | "overwritten" | "too many" | Error, position: number) => void;
}

export interface Reads {
  last(subject: string): Promise<StoredFact | undefined>;
  /** The same by the leader, for where a replica may lag behind it. */
  lastByLeader(subject: string): Promise<Fact | undefined>;
  /** Undefined where there is no such message any more. */
  ofLeader(
    wish: { readonly seq: number } | { readonly last_by_subj: string },
  ): Promise<{ readonly seq: number } | undefined>;
  /** The last position that was given, whether or not it is still held. */
  lastGiven(): Promise<number>;
  /** Undefined when more match than one answer can hold. @throws TooMuch */
  snapshot(filters: readonly string[], charactersMax: number): Promise<Snapshot | undefined>;
  /** Where these subjects' last facts lie; without those that were written while this was read. */
  positions(subjects: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

/** As many subjects as one question names; each may be 3 KB long. */
const askedAtOnce = 250;

/** More is read piece by piece: the server cuts off the connection of whoever lets 64 MB wait, with all that is under way on it. */
const bytesAtOnce = 8 * 1024 * 1024;
/** For so long a snapshot is taken anew because a write overtook it. */
const overtakenMsMax = 1_000;

export function openReads(nc: NatsConnection, stream: string, timeoutMs: () => number): Reads {
  const api = `$JS.API.DIRECT.GET.${stream}`;
  const inbox = createInbox();
  const collecting = new Map<string, Collecting>();
  let calls = 0;
  nc.subscribe(`${inbox}.*`, { callback: (_, message) => receive(message) });

  async function last(subject: string): Promise<StoredFact | undefined> {
    let answer: Msg;
    try {
      answer = await nc.request(`${api}.${subject}`, undefined, { timeout: timeoutMs() });
    } catch (error) {
      throw new LogUnavailable(`the store did not answer: ${(error as Error).message}`);
    }
    if (answer.headers?.code === 404) return undefined;
    if (answer.headers?.code) throw new LogUnavailable(`the store answered ${answer.headers.description}`);
    return storedFact(answer);
  }

  async function ofLeader(wish: { readonly seq: number } | { readonly last_by_subj: string }) {
    const { message } = await askLeader<StoredAnswer>("STREAM.MSG.GET", wish);
    return message;
  }

  async function lastByLeader(subject: string): Promise<Fact | undefined> {
    const message = await ofLeader({ last_by_subj: subject });
    if (message === undefined) return undefined;
    const { seq: position, time, data = "" } = message;
    const { body, place } = unseal(Buffer.from(data, "base64").toString("utf8"));
    const groupEnd = position - place.index + place.size - 1;
    return { subject, position, timeMs: Date.parse(time), body, groupEnd };
  }

  async function lastGiven(): Promise<number> {
    const { state } = await askLeader<{ readonly state?: { readonly last_seq: number } }>("STREAM.INFO", {});
    if (state === undefined) throw new LogUnavailable("the store does not know its stream");
    return state.last_seq;
  }

  async function askLeader<T>(api: string, wish: object): Promise<T> {
    let answer: Msg;
    try {
      answer = await nc.request(`$JS.API.${api}.${stream}`, JSON.stringify(wish), { timeout: timeoutMs() });
    } catch (error) {
      throw new LogUnavailable(`the store did not answer: ${(error as Error).message}`);
    }
    const said = answer.json<
      T & { readonly error?: { readonly code: number; readonly description: string } }
    >();
    if (said.error && said.error.code !== 404)
      throw new LogUnavailable(`the store answered ${said.error.description}`);
    return said;
  }

  async function snapshot(filters: readonly string[], charactersMax: number): Promise<Snapshot | undefined> {
    const untilMs = performance.now() + overtakenMsMax;
    do {
      const { outcome, facts, position } = await collect(filters, charactersMax);
      if (outcome === "too many") return undefined;
      if (outcome === "complete" && !holdsHalfAGroup(facts, position)) return { facts, position };
    } while (performance.now() < untilMs);
    throw new LogUnavailable("writes kept overtaking the read");
  }

  async function positions(subjects: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const found = await Promise.all(inParts(subjects, askedAtOnce).map((part) => collect(part)));
    return new Map(
      found.flatMap(({ facts }) => facts.map(({ subject, position }) => [subject, position] as const)),
    );
  }

  function collect(filters: readonly string[], room = Infinity) {
    const token = String(++calls);
    return new Promise<{
      outcome: "complete" | "overwritten" | "too many";
      facts: StoredFact[];
      position: number;
    }>((resolve, reject) => {
      const timer = setTimeout(() => entry.done(new Error("time ran out"), 0), timeoutMs());
      const entry: Collecting = {
        facts: [],
        room,
        pending: 0,
        done: (outcome, position) => {
          clearTimeout(timer);
          collecting.delete(token);
          if (outcome instanceof TooMuch) reject(outcome);
          else if (outcome instanceof Error)
            reject(new LogUnavailable(`the store did not answer: ${outcome.message}`));
          else resolve({ outcome, facts: entry.facts, position });
        },
      };
      collecting.set(token, entry);
      try {
        nc.publish(api, JSON.stringify({ multi_last: filters, batch: 1024, max_bytes: bytesAtOnce }), {
          reply: `${inbox}.${token}`,
        });
      } catch (error) {
        entry.done(error as Error, 0);
      }
    });
  }

  function receive(message: Msg): void {
    const entry = collecting.get(message.subject.slice(inbox.length + 1));
    if (entry === undefined) return;
    const head = message.headers;
    const code = head?.code ?? 0;
    if (code === 0) {
      const fact = storedFact(message);
      entry.facts.push(fact);
      entry.room -= fact.body.length;
      entry.pending = Number(head?.get("Nats-Num-Pending"));
      if (entry.room < 0) entry.done(new TooMuch(), 0);
    } else if (code === 204 && entry.pending > 0) {
      entry.done("too many", 0);
    } else if (code === 204 || (code === 404 && entry.facts.length === 0)) {
      entry.done("complete", Number(head?.get("Nats-UpTo-Sequence")));
    } else if (code === 404) {
      // One of the messages was overwritten before it could be sent.
      entry.done("overwritten", 0);
    } else if (code === 413) {
      entry.done("too many", 0);
    } else {
      entry.done(new Error(`${code} ${head?.description}`), 0);
    }
  }

  return { last, lastByLeader, snapshot, positions, ofLeader, lastGiven };
}

/** Facts of one group lie side by side: half of one shows only to a look at the log before it reached the group's end. */
function holdsHalfAGroup(facts: readonly Fact[], position: number): boolean {
  return facts.some((fact) => fact.groupEnd > position);
}

function storedFact(message: Msg): StoredFact {
  const head = message.headers;
  if (head === undefined) throw new Error("a direct get answers with headers");
  const position = Number(head.get("Nats-Sequence"));
  const { body, place } = unseal(message.string());
  return {
    subject: head.get("Nats-Subject"),
    position,
    timeMs: Date.parse(head.get("Nats-Time-Stamp")),
    body,
    groupEnd: position - place.index + place.size - 1,
    groupIndex: place.index,
    id: head.get(idHeader),
  };
}

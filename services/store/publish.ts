// Publishing to JetStream: single facts and atomic batches, with the conditions that nats.js's own batches drop.
// In: units of facts. Out: the position of the first fact. Never: a retry; group commit decides about those (commit.ts).
import { headers, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import type { Unit, Writer } from "./commit.ts";
import { type Append, Conflict, LogUnavailable, OutcomeUnknown } from "./log.ts";

export const idHeader = "Tidings-Id";
/** `<index>/<size>` of a fact within the facts that were appended together with it. */
export const groupHeader = "Tidings-Group";

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string };
}

/** JetStream's numbers for a condition that does not hold: on one message, and on a subject within a batch. */
const conflictCodes = new Set([10071, 10164]);
/** No more room: memory or file store resources, the account's or the stream's own limits. */
const fullCodes = new Set([10023, 10028, 10047, 10077]);

export interface PublishOptions {
  /** After this a write counts as unanswered. */
  readonly timeoutMs: number;
  readonly find: (unit: Unit) => Promise<number | undefined>;
}

export function publisher(nc: NatsConnection, { timeoutMs, find }: PublishOptions): Writer {
  let batchNumber = 0;
  const batchPrefix = `${nc.info?.client_id ?? 0}-${Math.random().toString(36).slice(2, 10)}-`;

  async function single(unit: Unit): Promise<number> {
    const fact = unit.facts[0] as Append;
    return await request(fact, factHeaders(unit, 0));
  }

  async function batch(units: readonly Unit[]): Promise<number> {
    const batchId = `${batchPrefix}${++batchNumber}`;
    const size = units.reduce((sum, unit) => sum + unit.facts.length, 0);
    let sequence = 0;
    for (const unit of units) {
      for (const [index, fact] of unit.facts.entries()) {
        const head = factHeaders(unit, index);
        head.set("Nats-Batch-Id", batchId);
        head.set("Nats-Batch-Sequence", String(++sequence));
        if (sequence === size) {
          head.set("Nats-Batch-Commit", "1");
          return (await request(fact, head)) - size + 1;
        }
        publish(fact, head);
      }
    }
    throw new Error("a batch holds at least one fact");
  }

  function publish(fact: Append, head: MsgHdrs): void {
    try {
      nc.publish(fact.subject, fact.body, { headers: head });
    } catch (error) {
      throw new LogUnavailable(`the bus cannot be reached: ${(error as Error).message}`);
    }
  }

  async function request(fact: Append, head: MsgHdrs): Promise<number> {
    let answer: Msg;
    try {
      answer = await nc.request(fact.subject, fact.body, { headers: head, timeout: timeoutMs });
    } catch (error) {
      throw unanswered(error as Error);
    }
    const ack = answer.json<PubAck>();
    if (ack.error === undefined && ack.seq !== undefined) return ack.seq;
    throw refused(ack);
  }

  return { single, batch, find };
}

function factHeaders(unit: Unit, index: number): MsgHdrs {
  const fact = unit.facts[index] as Append;
  const head = headers();
  head.set(idHeader, unit.id);
  head.set("Nats-Expected-Last-Subject-Sequence", String(fact.expected));
  if (fact.keepSeconds !== undefined) head.set("Nats-TTL", `${fact.keepSeconds}s`);
  if (unit.facts.length > 1) head.set(groupHeader, `${index}/${unit.facts.length}`);
  return head;
}

function unanswered(error: Error): Error {
  // Nobody listened, so nobody stored it: a stream without a leader, or a server that has just started.
  if (error.name === "NoRespondersError" || /no responders/i.test(error.message)) {
    return new LogUnavailable("the store has no leader at the moment");
  }
  return new OutcomeUnknown(error.message);
}

function refused({ error }: PubAck): Error {
  const code = error?.err_code ?? 0;
  const said = `${error?.description ?? "no position in the answer"} (${code})`;
  if (conflictCodes.has(code)) return new Conflict(said);
  return new LogUnavailable(said, fullCodes.has(code));
}

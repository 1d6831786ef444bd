// Publishing to JetStream: single facts and atomic batches, with the conditions that nats.js's own batches drop.
// In: units of facts. Out: the position of the first fact. Never: a retry; group commit decides about those (commit.ts).
import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import type { Unit, Writer } from "./commit.ts";
import { seal } from "./envelope.ts";
import { type Append, Conflict, LogUnavailable, OutcomeUnknown } from "./log.ts";

export const idHeader = "Tidings-Id";
const expectedHeader = "Nats-Expected-Last-Subject-Sequence";

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
  readonly timeoutMs: () => number;
  readonly find: Writer["find"];
  readonly overtaken: Writer["overtaken"];
}

export function publisher(nc: NatsConnection, { timeoutMs, find, overtaken }: PublishOptions): Writer {
  let batchNumber = 0;
  const batchPrefix = `${nc.info?.client_id ?? 0}-${Math.random().toString(36).slice(2, 10)}-`;

  async function single(unit: Unit, withinMs?: number): Promise<number> {
    const fact = unit.facts[0] as Append;
    const payload = seal(fact.body, { index: 0, size: 1 });
    return await request(fact.subject, payload, factHeaders(unit, fact), withinMs);
  }

  async function batch(units: readonly Unit[], withinMs?: number): Promise<number> {
    const batchId = `${batchPrefix}${++batchNumber}`;
    const size = units.reduce((sum, unit) => sum + unit.facts.length, 0);
    let sequence = 0;
    const place = (): string => `Nats-Batch-Id: ${batchId}\r\nNats-Batch-Sequence: ${++sequence}\r\n`;
    let left = size;
    for (const unit of units) {
      for (const [index, fact] of unit.facts.entries()) {
        const head = factHeaders(unit, fact) + place();
        const payload = seal(fact.body, { index, size: unit.facts.length });
        if (--left > 0) publish(fact.subject, payload, head);
        else
          return (
            (await request(fact.subject, payload, `${head}Nats-Batch-Commit: 1\r\n`, withinMs)) - size + 1
          );
      }
    }
    throw new Error("a batch holds at least one fact");
  }

  function publish(subject: string, payload: string, head: string): void {
    try {
      nc.publish(subject, Buffer.from(payload), { headers: encoded(head) });
    } catch (error) {
      throw new LogUnavailable(`the bus cannot be reached: ${(error as Error).message}`);
    }
  }

  async function request(
    subject: string,
    payload: string,
    head: string,
    withinMs = Number.POSITIVE_INFINITY,
  ): Promise<number> {
    let answer: Msg;
    try {
      answer = await nc.request(subject, Buffer.from(payload), {
        headers: encoded(head),
        timeout: Math.min(timeoutMs(), withinMs),
      });
    } catch (error) {
      throw unanswered(error as Error);
    }
    const ack = answer.json<PubAck>();
    if (ack.error === undefined && ack.seq !== undefined) return ack.seq;
    throw refused(ack);
  }

  return { single, batch, find, overtaken };
}

function factHeaders(unit: Unit, { of, expected, keepSeconds }: Append): string {
  const keep = keepSeconds === undefined ? "" : `Nats-TTL: ${keepSeconds}s\r\n`;
  const another = of === undefined ? "" : `${expectedHeader}-Subject: ${of}\r\n`;
  return `${idHeader}: ${unit.id}\r\n${expectedHeader}: ${expected}\r\n${another}${keep}`;
}

/** Headers as they go over the wire. The client asks them for nothing but that, and its own take longer to build than to send. */
function encoded(head: string): MsgHdrs {
  const bytes = Buffer.from(`NATS/1.0\r\n${head}\r\n`, "latin1");
  return { encode: () => bytes } as unknown as MsgHdrs;
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

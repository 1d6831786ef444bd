// The log on JetStream: one stream that keeps the last fact of each subject, so that the log is also the table.
// In: a connection. Out: the Log. Never: a stream whose settings would break a promise of the port (docs/decisions/log.md).
import { randomBytes } from "node:crypto";
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { StartError } from "../core/start-error.ts";
import { Turns } from "../core/turns.ts";
import { groupCommit, type Unit } from "./commit.ts";
import { type CommitLimits, commitLimits } from "./commit-limits.ts";
import { feedFact, jetStreamFeed } from "./feed.ts";
import { type Append, type Fact, type Log, LogUnavailable, type Snapshot, TooMuch } from "./log.ts";
import { publisher } from "./publish.ts";
import { openReads } from "./reads.ts";

/** Facts of a large snapshot that are on their way at once, each of which has less than a megabyte. */
const largeAtOnce = 48;
/** Large snapshots that are read at once: each may hold a hundred megabytes. */
const largeReadsAtOnce = 4;
/** So often a large snapshot looks whether anything is still to come. */
const lookMs = 1_000;

/** Twice this is what a client waits for at most. */
export const answerMsMax = 900;

export interface JetStreamLogOptions {
  readonly stream: string;
  /** The first token of every subject; the stream takes `<prefix>.>`. */
  readonly prefix: string;
  /** 1 alone; 3 or 5 on a cluster. */
  readonly replicas: number;
  /** How long one answer of the store is waited for, as of now. */
  readonly timeoutMs?: () => number;
  readonly limits?: CommitLimits;
  /** True while the disk under the store is full: then nothing is sent to it. */
  readonly isFull?: () => boolean;
  readonly onTrouble?: (message: string) => void;
}

export interface JetStreamLog extends Log {
  /** Facts that wait for the store. */
  pending(): number;
}

export async function openJetStreamLog(
  nc: NatsConnection,
  options: JetStreamLogOptions,
): Promise<JetStreamLog> {
  const {
    stream,
    prefix,
    timeoutMs = () => answerMsMax,
    limits = commitLimits,
    isFull = () => false,
    onTrouble = () => undefined,
  } = options;
  const manager = await jetstreamManager(nc, { timeout: 5_000 });
  const info = await openStream(manager, options);
  const epoch = info.config.metadata?.["tidings.epoch"];
  if (epoch === undefined)
    throw new StartError(`The stream ${stream} was not made by Tidings: it has no epoch.`);
  const js = jetstream(nc);
  const reads = openReads(nc, stream, timeoutMs);
  const large = new Turns(largeReadsAtOnce);
  const writer = publisher(nc, { timeoutMs, find, overtaken });
  const commit = groupCommit(writer, limits);

  /** The position of a unit's first fact, if one of its facts still is the last of its subject. */
  async function find(unit: Unit): Promise<number | undefined> {
    const stored = await Promise.all(unit.facts.map((fact) => reads.last(fact.subject)));
    const ours = stored.find((fact) => fact?.id === unit.id);
    return ours && ours.position - ours.groupIndex;
  }

  async function overtaken(units: readonly Unit[]): Promise<ReadonlySet<Unit>> {
    const positions = await reads.positions(
      units.flatMap(({ facts }) => facts.map(({ subject, of = subject }) => of)),
    );
    // A replica may lag behind its leader: where it shows less than is expected, nothing is known.
    const isOvertaken = ({ subject, of = subject, expected }: Append): boolean =>
      (positions.get(of) ?? 0) > expected;
    return new Set(units.filter(({ facts }) => facts.some(isOvertaken)));
  }

  async function end(known = 0): Promise<number> {
    const given = await reads.lastGiven();
    if (given <= known) return given;
    // A fact that was forgotten since would never come by the feed; but nearly always the last one is still there.
    if (await reads.ofLeader({ seq: given })) return given;
    // The server looks through all subjects for it: 40 ms where there are 400,000.
    return (await reads.ofLeader({ last_by_subj: `${prefix}.>` }))?.seq ?? 0;
  }

  async function last(subject: string): Promise<Fact | undefined> {
    if (options.replicas === 1) return await reads.last(subject);
    // A replica may lag behind its leader: a direct get missed the writer's own ack in 52 of 2,000 tries.
    const { facts } = await snapshot([subject]);
    // That there is none carries no position by which a late replica would show.
    return facts[0] ?? (await reads.lastByLeader(subject));
  }

  async function snapshot(filters: readonly string[], charactersMax = Infinity): Promise<Snapshot> {
    const atLeast = options.replicas === 1 ? 0 : await end();
    for (;;) {
      const found =
        (await reads.snapshot(filters, charactersMax)) ??
        (await large.run(() => largeSnapshot(filters, charactersMax)));
      if (found.facts.length === 0) return await emptySnapshot(filters, charactersMax);
      if (found.position >= atLeast) return found;
    }
  }

  /** An empty answer carries no resume point: take the end first, and look again. */
  async function emptySnapshot(filters: readonly string[], charactersMax: number): Promise<Snapshot> {
    const position = await end();
    const found = await reads.snapshot(filters, charactersMax);
    if (found?.facts.length === 0) return { facts: [], position };
    return await snapshot(filters, charactersMax);
  }

  /** More subjects than one direct get may answer: read the feed up to where the log ends now. */
  async function largeSnapshot(filters: readonly string[], charactersMax: number): Promise<Snapshot> {
    const position = await end();
    const table = new Map<string, Fact>();
    const consumer = await js.consumers.get(stream, { filter_subjects: [...filters] });
    let looking: NodeJS.Timeout | undefined;
    try {
      if ((await consumer.info()).num_pending === 0) return { facts: [], position };
      const messages = await consumer.consume({ max_messages: largeAtOnce });
      // What was still to come may have been forgotten meanwhile: then nothing says that this was all.
      let quiet = 0;
      looking = setInterval(async () => {
        const isOver = ++quiet > 1 && (await consumer.info().catch(() => undefined))?.num_pending === 0;
        if (isOver && quiet > 1) messages.stop();
      }, lookMs);
      let room = charactersMax;
      for await (const message of messages) {
        quiet = 0;
        const fact = feedFact(message);
        room += (table.get(fact.subject)?.body.length ?? 0) - fact.body.length;
        table.set(fact.subject, fact);
        if (message.info.pending === 0 || room < 0) break;
      }
      await messages.close();
      if (room < 0) throw new TooMuch();
    } finally {
      clearInterval(looking);
      // Else it is looked at with each write for another five minutes.
      consumer.delete().catch(() => undefined);
    }
    return { facts: [...table.values()].sort((a, b) => a.position - b.position), position };
  }

  function append(facts: readonly Append[]): Promise<number> {
    // At a full disk the server would leave publishes without an answer (docs/decisions/embedded-nats.md).
    if (isFull()) return Promise.reject(new LogUnavailable("the disk is full", true));
    // Sent with others, it would take them along.
    if (facts.some(isTooLarge))
      return Promise.reject(new LogUnavailable("a fact is larger than the store takes"));
    return commit.append(facts);
  }

  return {
    epoch,
    append,
    pending: commit.pending,
    last,
    snapshot,
    end,
    lastGiven: reads.lastGiven,
    feed: (after, signal) => jetStreamFeed({ js, stream, after, signal, onTrouble }),
  };
}

async function openStream(manager: JetStreamManager, options: JetStreamLogOptions): Promise<StreamInfo> {
  const { stream, prefix, replicas } = options;
  const config = {
    name: stream,
    subjects: [`${prefix}.>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_msgs_per_subject: 1,
    num_replicas: replicas,
    allow_direct: true,
    allow_msg_ttl: true,
    allow_atomic: true,
    // Group commit finds its own writes again; the server's memory of ids serves nobody here.
    duplicate_window: 100_000_000,
  };
  for (;;) {
    try {
      const info = await manager.streams.info(stream);
      if (info.config.num_replicas === replicas) return info;
      return await manager.streams.update(stream, { ...info.config, num_replicas: replicas });
    } catch (error) {
      if (!isRefusal(error, streamNotFound)) throw error;
    }
    try {
      const epoch = BigInt(`0x${randomBytes(8).toString("hex")}`).toString(36);
      return await manager.streams.add({ ...config, metadata: { "tidings.epoch": epoch } });
    } catch (error) {
      // Another broker that started at the same time made it first, with its own epoch: that one counts.
      if (!isRefusal(error, streamNameInUse)) throw error;
    }
  }
}

/** What the server takes in one message is 1 MB, its headers among it. */
const bodyBytesMax = 1024 * 1024 - 8 * 1024;

function isTooLarge({ body }: Append): boolean {
  // A character takes three bytes at most.
  return body.length * 3 > bodyBytesMax && Buffer.byteLength(body) > bodyBytesMax;
}

/** JetStream's numbers for its refusals. */
const streamNotFound = 10059;
const streamNameInUse = 10058;

function isRefusal(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}

// The feed: every fact after a position, in order, through whatever happens to the connection or the server.
// In: an ordered consumer. Out: batches of facts. Never: a fact twice, or one left out that is still the last of its subject.
import type { JetStreamClient, JsMsg } from "@nats-io/jetstream";
import { DeliverPolicy } from "@nats-io/jetstream";
import { unseal } from "./envelope.ts";
import type { Fact } from "./log.ts";

export interface FeedOptions {
  readonly js: JetStreamClient;
  readonly stream: string;
  readonly after: number;
  readonly signal: AbortSignal;
  readonly onTrouble: (message: string) => void;
}

/** Asked for at once, and how long the server may be silent before the consumer is made anew. */
const askedAtOnce = 10_000;
const silenceMsMax = 2_000;
const retryDelayMs = 100;

export async function* jetStreamFeed(options: FeedOptions): AsyncGenerator<readonly Fact[]> {
  const { js, stream, signal, onTrouble } = options;
  let position = options.after;
  let waiting: Fact[] = [];
  let wake: () => void = () => undefined;
  const stop = (): void => wake();
  signal.addEventListener("abort", stop);
  /** The consumer in use; what an older one still delivers is not listened to. */
  let turn = 0;

  async function consume(): Promise<void> {
    const mine = ++turn;
    const consumer = await js.consumers.get(stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: position + 1,
    });
    const messages = await consumer.consume({
      max_messages: askedAtOnce,
      expires: silenceMsMax * 2,
      idle_heartbeat: silenceMsMax / 2,
      callback: (message) => {
        if (mine !== turn || message.seq <= position) return;
        position = message.seq;
        waiting.push(feedFact(message));
        wake();
      },
    });
    const close = (): void => void messages.close();
    signal.addEventListener("abort", close);
    if (signal.aborted) close();
    try {
      const error = await messages.closed();
      if (error instanceof Error) throw error;
    } finally {
      signal.removeEventListener("abort", close);
    }
  }

  async function keepConsuming(): Promise<void> {
    while (!signal.aborted) {
      try {
        await consume();
      } catch (error) {
        onTrouble((error as Error).message);
      }
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, retryDelayMs));
    }
  }

  const consuming = keepConsuming();
  try {
    while (!signal.aborted) {
      if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const batch = waiting;
      waiting = [];
      if (batch.length > 0 && !signal.aborted) yield batch;
    }
  } finally {
    turn = -1;
    signal.removeEventListener("abort", stop);
    if (signal.aborted) await consuming;
  }
}

export function feedFact(message: JsMsg): Fact {
  const { subject, seq: position, info } = message;
  const { body, place } = unseal(message.string());
  const groupEnd = position - place.index + place.size - 1;
  return { subject, position, timeMs: info.timestampNanos / 1e6, body, groupEnd, decoded: undefined };
}

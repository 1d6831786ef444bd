// Broker meters: which numbers a broker tells its operator.
// In: meters, where each number is looked up. Out: metrics, and what takes in times and outcomes. Never: a number that is kept here.
import type { Meters } from "./meters.ts";

export interface Readings {
  readonly leased: () => number;
  readonly held: () => number;
  readonly sessions: () => number;
  readonly position: () => number;
  readonly lagMs: () => number;
  readonly found: () => number;
  readonly tally: { readonly offered: number; readonly conflated: number; readonly sent: number };
  readonly failing: () => number;
}

export interface Times {
  readonly onLeaseEnded: (lateMs: number) => void;
  readonly onSent: (afterMs: number) => void;
  readonly onAttempt: (outcome: string) => void;
  readonly onRun: (state: string) => void;
}

export function brokerTimes({ times, counts }: Meters): Times {
  return {
    onLeaseEnded: times(
      "tidings_lease_end_late_seconds",
      "How late leases were ended.",
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    ),
    onSent: times(
      "tidings_store_to_send_seconds",
      "From the time that an event was stored until it was handed to a stream's transport.",
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    ),
    onAttempt: counts(
      "tidings_webhook_attempts_total",
      "POSTs to webhooks, by what came of them.",
      "outcome",
    ),
    onRun: counts("tidings_agent_runs_total", "Runs of agents here, by how they ended.", "state"),
  };
}

export function brokerReadings({ gauge, counter }: Meters, readings: Readings): void {
  const { leased, held, sessions, position, lagMs, found, tally, failing } = readings;
  gauge("tidings_leased_properties", "Properties that hold a lease.", leased);
  gauge("tidings_messages_held", "Messages that wait for somebody.", held);
  gauge("tidings_sessions", "Open streams.", sessions);
  gauge("tidings_feed_position", "The position up to which this broker knows the log.", position);
  gauge(
    "tidings_feed_lag_seconds",
    "How old the last fact was when the feed brought it.",
    () => lagMs() / 1000,
  );
  gauge("tidings_directory_position", "The position up to which the directory finds everything.", found);
  gauge("tidings_webhook_failing", "Webhooks that fail, of those that this broker delivers.", failing);
  counter("tidings_events_offered_total", "Events that streams were owed.", () => tally.offered);
  counter(
    "tidings_events_conflated_total",
    "Events that took the place of an older one of the same property.",
    () => tally.conflated,
  );
  counter("tidings_events_sent_total", "Events handed to transports.", () => tally.sent);
}

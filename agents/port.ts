// The port: what a run of an agent asks of wherever it runs, one call at a time.
// In: a run, a call and what it is about. Out: what the call answers. Never: an effect that the agent did not declare, or one that happens twice for one key.
//
// Three stand behind it: the host (over messages between threads), a program of its own (over REST), and a test (in memory).

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** One handling of one event. A redelivery of the same event is the same run. */
export interface Run {
  /** The event's id. */
  readonly id: string;
  /** How many agents' reactions led to the event; what the run causes has one more. */
  readonly hops: number;
}

export interface Property {
  readonly node: string;
  readonly name: string;
  readonly value: Json;
  readonly revision: number;
  /** RFC 3339. */
  readonly updated: string;
  readonly by: string;
  readonly lease?: { readonly id: string; readonly seconds: number; readonly until: string };
}

export interface LeaseWish {
  readonly seconds: number;
  /** The value once it has ended; without one the property goes. */
  readonly default?: Json;
  readonly id?: string;
}

export interface SetWish {
  readonly node: string;
  readonly name: string;
  readonly value: Json;
  readonly lease?: LeaseWish;
  /** One of several values that devices hold at the same time. */
  readonly view?: string;
  /** The revision that it must have; 0: it must not be there. */
  readonly ifMatch?: number;
  /** The same effect happens once for one key. */
  readonly key: string;
}

export interface MessageWish {
  readonly to: string;
  /** `text/plain; charset=utf-8` without it. */
  readonly contentType?: string;
  readonly content: string;
  /** Seconds that it is held for the absent. */
  readonly expiresIn?: number;
  readonly key: string;
}

export interface TimerWish {
  /** In place of one of the same name. */
  readonly name: string;
  /** Since 1970. */
  readonly dueMs: number;
  readonly data: Json;
  /** What the same call set before stays as it is, or ended. */
  readonly key: string;
}

export interface FindWish {
  readonly q?: string;
  readonly where?: string;
  readonly limit?: number;
}

export interface FoundNode {
  readonly address: string;
  readonly properties: { readonly [name: string]: Property };
}

export interface FetchWish {
  readonly url: string;
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string;
}

export interface FetchAnswer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  /** At most 1 MiB. */
  readonly body: string;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Every call: what it takes, and what it answers. */
export interface Calls {
  /** Undefined where there is none, or none that the agent may see. */
  get: { takes: { node: string; name: string }; gives: Property | undefined };
  set: { takes: SetWish; gives: { revision: number } };
  remove: { takes: { node: string; name: string; key: string }; gives: undefined };
  send: { takes: MessageWish; gives: { id: string } };
  find: { takes: FindWish; gives: readonly FoundNode[] };
  fetch: { takes: FetchWish; gives: FetchAnswer };
  /** What the agent keeps, by key; undefined where there is nothing. */
  recallState: { takes: { key: string }; gives: Json | undefined };
  /** Undefined forgets. */
  keepState: { takes: { key: string; value: Json | undefined }; gives: undefined };
  /** What a step of this run gave before, if it ended. */
  recallStep: { takes: { name: string }; gives: { value: Json } | undefined };
  /** Durable when it resolves. */
  keepStep: { takes: { name: string; value: Json }; gives: undefined };
  setTimer: { takes: TimerWish; gives: undefined };
  cancelTimer: { takes: { name: string }; gives: undefined };
  log: { takes: { level: LogLevel; text: string; data?: Json }; gives: undefined };
}

/** @throws PortError with the code of the refusal */
export type Port = <Call extends keyof Calls>(
  run: Run,
  call: Call,
  takes: Calls[Call]["takes"],
) => Promise<Calls[Call]["gives"]>;

/** A call was refused, or could not be made. */
export class PortError extends Error {
  override readonly name = "PortError";
  /** Of a refusal (`/problems/<code>`), or `unavailable`, `not-permitted`. */
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

// The teller: puts into words what a stream owes its reader.
// In: changes, losses, events of the stream itself. Out: deliveries in the session, each with its cursor. Never: a decision about what is owed.
import { randomBytes } from "node:crypto";
import { streamEvent, type TidingsEvent } from "../core/event.ts";
import type { Caller } from "../core/principal.ts";
import type { Arrived, Messages } from "../messages/messages.ts";
import { type Change, share } from "./change.ts";
import type { History } from "./history.ts";
import type { Hub } from "./hub.ts";
import { removal, removals } from "./removals.ts";
import type { Session, SharedEvent } from "./session.ts";
import type { Watch } from "./watch.ts";

export interface TellerDeps {
  readonly epoch: string;
  readonly hub: Hub;
  readonly history: History;
  readonly messages: Pick<Messages, "rights">;
  readonly now: () => number;
}

/** A message that many are told at once is encoded once. */
const sharedMessages = new WeakMap<Arrived, SharedEvent>();

export class Teller {
  readonly #session: Session;
  readonly #deps: TellerDeps;
  /** The account, or `anonymous`. */
  readonly #reader: string;
  /** Where the reader left off: no cursor of the stream lies before it. */
  readonly #from: number;
  #announced = 0;

  constructor(session: Session, deps: TellerDeps, caller: Caller, from: number) {
    this.#session = session;
    this.#deps = deps;
    this.#reader = caller?.address.text ?? "anonymous";
    this.#from = from;
  }

  /**
   * An event that is no property's.
   * @param position of the fact that it tells of, where the hub has yet to come to it
   * @param when it happened, or was there when the reader came, which is no fault of a slow one
   */
  announce(
    event: TidingsEvent,
    position = 0,
    when: "live" | "snapshot" = "live",
    mayTell?: SharedEvent["mayTell"],
  ): void {
    const shared = share(event, ++this.#announced, this.#cursorAt(position), undefined, mayTell);
    const key = `announced ${this.#announced}`;
    if (when === "live") this.#session.offer(key, shared);
    else this.#session.present(key, shared);
  }

  /** An event of the stream itself. */
  ofStream(kind: "live" | "reset" | "bookmark", watch?: Pick<Watch, "id">): void {
    const id = `${this.#deps.epoch}-${randomBytes(9).toString("base64url")}`;
    const data: Record<string, string> = watch?.id === undefined ? {} : { subscription: watch.id };
    const event = streamEvent(kind, this.#reader, id, this.#deps.now(), data);
    const key = `${kind} ${data.subscription ?? ""}`;
    this.#session.offer(key, share(event, ++this.#announced, this.cursor(), undefined));
  }

  /** What a snapshot shows. */
  present(change: Change, as: "live" | "snapshot"): void {
    const { subject, revision, letter } = change;
    const shared = share(change.event(as), revision, this.cursor(), undefined, letter?.mayTell);
    this.#session.present(subject, shared);
  }

  /** A message to its reader. */
  message(message: Arrived, when: "live" | "waiting"): void {
    const shared = sharedMessages.get(message) ?? this.#share(message);
    if (when === "live") this.#session.offer(message.subject, shared);
    else this.#session.present(message.subject, shared);
  }

  #share(message: Arrived): SharedEvent {
    const { letter, timeMs } = message;
    const { history, messages } = this.#deps;
    const mayTell = (account: string | undefined): boolean =>
      account !== undefined && messages.rights.mayTell(letter, account);
    const cursor = history.cursor(letter.position);
    const shared = share(message.event(), letter.position, cursor, timeMs, mayTell);
    sharedMessages.set(message, shared);
    return shared;
  }

  /**
   * What a snapshot does not show any more: the same numbers as whoever was there has been told, each above the one that
   * its reader knows. Of what was written behind the block nobody knows any more which that was: it comes last.
   * @param sinceOf where each was hidden
   */
  hide(hidden: readonly Change[], sinceOf: (change: Change) => number): void {
    const known = (change: Change): number => (change.revision < sinceOf(change) ? change.revision : 0);
    const newestFirst = hidden.toSorted((a, b) => known(b) - known(a));
    for (const [index, change] of newestFirst.entries()) {
      const shared = removal(change, sinceOf(change) - index, this.#removing(0));
      this.#session.present(change.subject, shared);
    }
  }

  /** What its reader may not see any more is taken from it as a deletion would. */
  takeBack(lost: ReadonlyMap<string, number>, position: number): void {
    const before = this.#deps.history.cursor(Math.max(position - 1, this.#from));
    for (const { subject, shared } of removals(lost, position, this.#removing(position), before)) {
      this.#session.offer(subject, shared);
    }
  }

  /** Where a reader stands that has been told everything up to now. */
  cursor(): string {
    return this.#cursorAt(0);
  }

  #removing(position: number) {
    return { epoch: this.#deps.epoch, cursor: this.#cursorAt(position), nowMs: this.#deps.now() };
  }

  #cursorAt(position: number): string {
    return this.#deps.history.cursor(Math.max(position, this.#deps.hub.position, this.#from));
  }
}

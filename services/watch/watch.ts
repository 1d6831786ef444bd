// A watch: one target of one stream, from its snapshot to whatever happens there.
// In: what a snapshot found, and arrivals from the hub. Out: what the stream is to be told. Never: an event twice, or one that its caller may not see.
import { matchNames } from "../core/name-pattern.ts";
import type { Caller } from "../core/principal.ts";
import type { Change } from "./change.ts";
import type { Start } from "./history.ts";
import type { Arrival, Listening } from "./hub.ts";
import { reaches, type Target } from "./target.ts";

/** Waiting: its snapshot is still to be taken. Joining: it is being taken. Live: what the hub brings is told. */
type Stage = "waiting" | "joining" | "live" | "ended";

export interface WatchOwner {
  readonly caller: Caller;
  now(): number;
  tell(watch: Watch, arrival: Arrival): void;
  /** The watch's filter took too long. */
  stopped(watch: Watch): void;
}

export class Watch implements Listening {
  readonly target: Target;
  /** The subscription that it belongs to. */
  readonly id: string | undefined;
  /** Where its reader left off. */
  start: Start;
  stage: Stage = "waiting";
  readonly #owner: WatchOwner;
  readonly #matches: (name: string) => boolean;
  /** What the hub brought while the snapshot was being taken: the last of each property. */
  #held = new Map<string, Arrival>();
  /** What the snapshot covered: the feed may bring it once more. */
  #from = 0;
  /** Facts that the snapshot showed although they are newer than it, by subject. */
  #ahead = new Map<string, number>();

  constructor(owner: WatchOwner, target: Target, start: Start, id: string | undefined) {
    this.#owner = owner;
    this.target = target;
    this.id = id;
    this.start = start;
    this.#matches = matchNames(target.properties);
  }

  take(arrival: Arrival): void {
    const { change } = arrival;
    if (this.stage === "joining") this.#held.set(change.subject, arrival);
    else if (this.stage === "live" && !this.#covers(change)) this.#pass(arrival);
  }

  #attempt = 0;

  /** Its snapshot is being taken from now on. @returns which attempt this is */
  begin(): number {
    this.stage = "joining";
    return ++this.#attempt;
  }

  /** Whether that attempt is still the one that counts. */
  isAt(attempt: number): boolean {
    return this.stage === "joining" && this.#attempt === attempt;
  }

  /** Begins anew. */
  restart(start: Start): void {
    this.stage = "waiting";
    this.start = start;
    this.#held = new Map();
  }

  /** @returns whether the snapshot is to be shown what the change is about: it selects it, and its caller may see it */
  selects(change: Change, arrival: Pick<Arrival, "previous"> = { previous: null }): boolean {
    const { address, name, value } = change;
    if (!reaches(this.target, address) || (name !== "" && !this.#matches(name))) return false;
    if (!change.audience(this.#owner.caller)) return false;
    const { filter } = this.target;
    if (filter === undefined || name === "") return true;
    const answer = filter.test({
      node: address.text,
      name,
      value,
      previous: arrival.previous,
      now: this.#owner.now(),
    });
    if (answer === "too-slow") this.#owner.stopped(this);
    return answer === "yes";
  }

  /** The snapshot is in: from now on the hub's arrivals are told, those first that came meanwhile and are not in it. */
  goLive(from: number, ahead: ReadonlyMap<string, number>): void {
    this.#from = from;
    this.#ahead = new Map(ahead);
    this.stage = "live";
    const held = this.#held;
    this.#held = new Map();
    for (const arrival of held.values()) this.take(arrival);
  }

  #covers({ subject, revision }: Change): boolean {
    const ahead = this.#ahead.get(subject);
    if (revision <= this.#from || revision <= (ahead ?? 0)) return true;
    if (ahead !== undefined) this.#ahead.delete(subject);
    return false;
  }

  #pass(arrival: Arrival): void {
    if (this.selects(arrival.change, arrival)) this.#owner.tell(this, arrival);
  }
}

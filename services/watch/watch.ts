// A watch: one target of one stream, from its snapshot to whatever happens there.
// In: what a snapshot found, arrivals from the hub, turns of policies. Out: what the stream is to be told. Never: an event twice, or one that its caller may not see.
import type { Address } from "../core/address.ts";
import { matchNames } from "../core/name-pattern.ts";
import type { Caller } from "../core/principal.ts";
import type { ForwardTurn } from "../forward/forwarding.ts";
import type { Turn } from "../policy/policies.ts";
import { type Access, type Look, nothingDisclosed, type Retyping } from "../property/properties.ts";
import { placeOf } from "../store/subjects.ts";
import type { Change } from "./change.ts";
import type { Start } from "./history.ts";
import type { Arrival, Listening } from "./hub.ts";
import { Knowledge } from "./knowledge.ts";
import { Progress } from "./progress.ts";
import type { Share } from "./shares.ts";
import { reaches, type Target } from "./target.ts";

/** Waiting: its snapshot is still to be taken. Joining: it is being taken. Live: what the hub brings is told. */
type Stage = "waiting" | "joining" | "live" | "ended";

export interface WatchOwner {
  readonly caller: Caller;
  /** How its reader reads: poll, sse, websocket. */
  readonly via: string;
  readonly access: Pick<Access, "hiddenSince" | "hasChanged" | "hasLifted" | "hasGrown" | "audience">;
  /** How often its reader has taken all that it was owed. */
  readonly takes: number;
  readonly reader: WatchReader;
  /** @param missed revisions before this one that the feed never showed: the log keeps the last of a property alone */
  tell(watch: Watch, arrival: Arrival, missed: number): void;
  /** The watch's filter took too long, or all of its reader's together. */
  stopped(watch: Watch): void;
  /** It takes a snapshot anew of what came from this position on. */
  behind(watch: Watch, position: number): void;
  /** @param turn of its target's owner, where it was one */
  turned(watch: Watch, turned: Turned, turn?: Turn): void;
}

/** Whoever reads what a watch brings. */
interface WatchReader {
  /** Of the time of all filters, its own. */
  readonly share: Pick<Share, "ask">;
  /** The watched node is forwarded elsewhere, or no more. */
  onForwarded?(watch: Watch, turn: ForwardTurn): void;
}

/** What a decision of its owner, or a type that became more or less open, does to a watch. */
export interface Turned {
  readonly position: number;
  /** Revisions of the properties that are its reader's no more, by subject. */
  readonly lost: ReadonlyMap<string, number>;
  readonly hasGrown: boolean;
  /** Nothing but a block came or went: what whoever was away has lost by it, the snapshot will tell. */
  readonly isBlock: boolean;
}

/** What a reader is owed of something that a snapshot shows. */
export type Owed = "live" | "snapshot" | "removal" | undefined;

export class Watch implements Listening {
  readonly target: Target;
  readonly isScout = false;
  /** The subscription that it belongs to. */
  readonly id: string | undefined;
  readonly look: Look;
  /** Where its reader left off. */
  start: Start;
  stage: Stage = "waiting";
  /** What names it to the owner of its target, once the owner was told of it. */
  noticeId: string | undefined;
  readonly #owner: WatchOwner;
  readonly #matches: (name: string) => boolean;
  /** Messages to those who watch; whoever just came is owed none of before. */
  readonly #letters: Progress;
  #knowledge = new Knowledge();
  /** What the hub brought while the snapshot was being taken: the last of each property. */
  #held: Map<string, Arrival> | undefined;
  /** What the snapshot covered: the feed may bring it once more. */
  #from = 0;
  /** Facts that the snapshot showed although they are newer than it, by subject. */
  #ahead: Map<string, number> | undefined;
  #attempt = 0;

  constructor(owner: WatchOwner, target: Target, start: Start, id: string | undefined) {
    this.#owner = owner;
    this.target = target;
    this.id = id;
    this.start = start;
    this.look = { caller: owner.caller, via: owner.via, disclosed: target.disclosed ?? nothingDisclosed };
    this.#matches = matchNames(target.properties);
    this.#letters = new Progress(start.position ?? target.made ?? Number.POSITIVE_INFINITY);
  }

  /** Messages to those who watch are owed from beyond this position on. */
  get lettersAfter(): number {
    return this.#letters.told;
  }

  take(arrival: Arrival): void {
    const { change } = arrival;
    if (this.stage === "joining") {
      this.#held ??= new Map();
      this.#held.set(change.subject, arrival);
    } else if (this.stage === "live" && !this.#covers(change)) this.#pass(arrival);
  }

  /** What it may not see any more is taken from its reader at once; what it may see in addition, a new snapshot brings. */
  turned(turn: Turn): void {
    const { owner, before, after, position, member } = turn;
    if (member && member.address !== this.look.caller?.address.text) return;
    // Rules that name a group stay as they are; whom they mean has changed.
    const hasGrown = member?.hasJoined || this.#owner.access.hasGrown(this.look, owner, before, after);
    const isBlock = before.blocks !== after.blocks;
    this.#owner.turned(this, { position, lost: this.#lose(), hasGrown, isBlock }, turn);
  }

  retyped({ name, position, isWider }: Retyping): void {
    if (!this.#matches(name)) return;
    this.#owner.turned(this, { position, lost: this.#lose(), hasGrown: isWider, isBlock: false });
  }

  forwarded(turn: ForwardTurn): void {
    this.#owner.reader.onForwarded?.(this, turn);
  }

  /** Revisions of the properties that its reader knows, by subject; undefined where it may know more than was told here. */
  get known(): ReadonlyMap<string, number> | undefined {
    if (this.stage !== "live" && this.start.position !== undefined) return undefined;
    return this.#knowledge.revisions;
  }

  #lose(): ReadonlyMap<string, number> {
    const lost = new Map<string, number>();
    for (const [subject, revision] of this.#knowledge.revisions) {
      const { address, name } = placeOf(subject);
      if (!this.#owner.access.audience(address, name)(this.look)) lost.set(subject, revision);
    }
    for (const subject of lost.keys()) this.#knowledge.forget(subject);
    return lost;
  }

  /** Whoever it was for has gone. */
  end(): this {
    this.stage = "ended";
    return this;
  }

  /** Its snapshot is being taken from now on. @returns which attempt this is */
  begin(): number {
    this.stage = "joining";
    return ++this.#attempt;
  }

  /** Its snapshot is still to be taken, or taken anew. */
  get isWaiting(): boolean {
    return this.stage === "waiting";
  }

  /** Whether that attempt is still the one that counts. */
  isAt(attempt: number): boolean {
    return this.stage === "joining" && this.#attempt === attempt;
  }

  /** Begins anew. @param forgets its reader has been told to forget what it knew */
  restart(start: Start, forgets: boolean): void {
    this.stage = "waiting";
    this.start = start;
    this.#held = undefined;
    if (!forgets) return;
    this.#knowledge = new Knowledge();
    this.#letters.back(this.#owner.takes);
  }

  /** Whether its reader knows a property by it, and may. */
  shows(subject: string): boolean {
    if (this.#knowledge.revision(subject) === undefined) return false;
    const { address, name } = placeOf(subject);
    return this.#owner.access.audience(address, name)(this.look);
  }

  /** Revisions of the properties that its reader knows by it and by none of the others, by subject. */
  knownAlone(others: Iterable<Watch>): ReadonlyMap<string, number> {
    const beside = [...others];
    const alone = [...this.#knowledge.revisions].filter(([subject]) => {
      const { address, name } = placeOf(subject);
      return !beside.some((watch) => watch.covers(address, name));
    });
    return new Map(alone);
  }

  /** What its reader is owed of something that the snapshot shows: asked in the moment in which it is told. */
  owes(change: Change): Owed {
    const { subject, name, isThere, revision } = change;
    if (!this.covers(change.address, name)) return undefined;
    if (change.letter) return change.audience(this.look) ? "live" : undefined;
    const knew = this.#knowledge.revision(subject);
    if (!change.audience(this.look)) {
      this.#knowledge.forget(subject);
      return name !== "" && (knew !== undefined || this.#isLost(change)) ? "removal" : undefined;
    }
    // The hub has brought something newer meanwhile, which is told when the snapshot is in; by another watch it may have been.
    if ((this.#held?.get(subject)?.change.revision ?? 0) > revision) return undefined;
    this.#knowledge.tell(change);
    const isOwed = knew === undefined ? this.#isOwed(change) : knew !== revision;
    if (!isOwed || !this.#passes(change)) return undefined;
    return this.#isNew(change) || !isThere ? "live" : "snapshot";
  }

  /** The snapshot is in: from now on the hub's arrivals are told, those first that came meanwhile and are not in it. */
  goLive(from: number, ahead: ReadonlyMap<string, number>): void {
    this.#from = from;
    this.#ahead = ahead.size === 0 ? undefined : new Map(ahead);
    this.stage = "live";
    this.#letters.tell(from, this.#owner.takes);
    const held = this.#held;
    this.#held = undefined;
    for (const arrival of held?.values() ?? []) this.take(arrival);
  }

  /** Since when a block hides a property that its reader may have seen. */
  hiddenSince({ address, name }: Change): number {
    return this.#owner.access.hiddenSince(this.look, address, name) ?? 0;
  }

  /** Whether it selects a property; without a name, a node. */
  covers(address: Address, name: string): boolean {
    return reaches(this.target, address) && (name === "" || this.#matches(name));
  }

  #passes(change: Change, { previous }: Pick<Arrival, "previous"> = { previous: null }): boolean {
    const { address, name, value } = change;
    const { filter } = this.target;
    if (filter === undefined || name === "") return true;
    const answer = this.#owner.reader.share.ask(filter, { node: address.text, name, value, previous });
    if (answer === "too-slow") this.#owner.stopped(this);
    if (answer === "later") this.#owner.behind(this, change.position);
    else if (answer !== "yes") this.#knowledge.pass(change);
    return answer === "yes";
  }

  /** Whether its reader cannot know it yet: it came, or ended, after it left off. */
  #isNew({ position }: Change): boolean {
    return this.start.position !== undefined && position > this.start.position;
  }

  #isOwed(change: Change): boolean {
    const { name, isThere } = change;
    const { position } = this.start;
    // Whoever knows nothing knows no node that could be new to it.
    if (name === "") return isThere && this.#isNew(change) && position !== 0;
    if (this.#isNew(change)) return true;
    // Whoever never saw a property needs not hear of its end.
    return isThere && (position === undefined || this.start.isPartial === true || this.#mayBeMore(change));
  }

  /** More may have been granted since its reader left off. */
  #mayBeMore({ address }: Change): boolean {
    const { access } = this.#owner;
    const { position = 0 } = this.start;
    return access.hasLifted(address, position) || access.hasChanged(this.look, address, position);
  }

  /** Whether its reader saw it before a block came while it was away. */
  #isLost(change: Change): boolean {
    const { position } = this.start;
    if (position === undefined) return false;
    const since = this.hiddenSince(change);
    if (since <= position) return false;
    const { born, past, isThere } = change;
    if (past && past.born <= since && past.ended > position) return true;
    return born <= since && (isThere || change.position > position);
  }

  #covers({ subject, revision }: Change): boolean {
    const ahead = this.#ahead?.get(subject);
    if (revision <= this.#from || revision <= (ahead ?? 0)) return true;
    if (ahead !== undefined) this.#ahead?.delete(subject);
    return false;
  }

  #pass(arrival: Arrival): void {
    const { change } = arrival;
    const { name, letter } = change;
    if (!this.covers(change.address, name) || !change.audience(this.look)) return;
    const missed = name === "" || letter ? 0 : this.#knowledge.missed(change, this.#from);
    if (letter) this.#letters.tell(change.position, this.#owner.takes);
    else if (this.#passes(change, arrival)) this.#knowledge.tell(change);
    else return;
    this.#owner.tell(this, arrival, missed);
  }
}

// Following: a watch goes where its node has gone, as far as its watcher is let in.
// In: watches as they were wished, word of forwards and of decisions on the way. Out: watches of the nodes that those lead to, and `node.moved`. Never: a word of a forward to whoever is granted nothing at one of its ends.
//
// The watch of the one node is dropped, one of the other takes its place with a snapshot of its own. What its reader knew
// is taken back as a deletion would, or by a reset where nobody can say what it knew.
import type { Address } from "../core/address.ts";
import { nodeMoved } from "../core/event.ts";
import type { Soon } from "../core/soon.ts";
import { SparseMap } from "../core/sparse.ts";
import type { Forwarding, Route } from "../forward/forwarding.ts";
import { type Access, type Look, nothingDisclosed } from "../property/properties.ts";
import { placeOf } from "../store/subjects.ts";
import type { Doorkeeper } from "./doorkeeper.ts";
import type { History, Start } from "./history.ts";
import type { Arrival, Hub, Listening } from "./hub.ts";
import { selected } from "./standing.ts";
import type { Stream } from "./stream.ts";
import type { Target } from "./target.ts";
import type { Watch } from "./watch.ts";

export interface FollowingDeps {
  readonly epoch: string;
  readonly forwarding: Pick<Forwarding, "follow">;
  readonly hub: Pick<Hub, "add" | "remove" | "position">;
  readonly history: Pick<History, "cursor">;
  readonly doorkeeper: Pick<Doorkeeper, "ended">;
  readonly now: () => number;
}

interface FollowingOwner {
  /** Another watch has taken the place of the one with the same id. */
  onMoved(watch: Watch): void;
}

/** A watch that is forwarded, or might be. */
interface Wish {
  readonly target: Target;
  readonly route: Route;
  readonly scouts: readonly Scout[];
}

/** What is wished, and where its reader left off. */
interface Beginning {
  readonly target: Target;
  /** Asked for in the moment in which it is taken up. */
  readonly start: () => Start;
  /** The position that the reader came with, if it came with one, whatever it is to begin with. */
  readonly since: number | undefined;
  readonly id?: string;
}

const retryMs = 500;

interface Asked extends Pick<FollowingDeps, "forwarding"> {
  readonly access: Pick<Access, "hasChanged">;
}

/** Who asks the owners on the way of a watch, and for what. */
export interface Way {
  readonly look: Look;
  readonly node: Address;
  readonly names: readonly string[];
  readonly right: "watch";
}

export function wayOf({ caller, via }: Pick<Look, "caller" | "via">, target: Target): Way {
  const { node, disclosed = nothingDisclosed } = target;
  return { look: { caller, via, disclosed }, node, names: selected(target), right: "watch" };
}

/** Whether what somebody who left at a position knows may not be what it would be told now. */
export function hasShifted({ access, forwarding }: Asked, way: Way, since: number): boolean {
  if (access.hasChanged(way.look, way.node, since)) return true;
  const route = forwarding.follow({ ...way, since });
  return route instanceof Promise || route.isNews;
}

export class Following implements Disposable {
  readonly #stream: Stream;
  readonly #deps: FollowingDeps;
  readonly #owner: FollowingOwner;
  readonly #wishes = new SparseMap<Watch, Wish>();
  /** What is told once the stream has begun. */
  #early: (() => void)[] | undefined = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(stream: Stream, deps: FollowingDeps, owner: FollowingOwner) {
    this.#stream = stream;
    this.#deps = deps;
    this.#owner = owner;
  }

  /** Adds a watch of the node that the wished one leads to. Who left before it did so is told, and begins anew. */
  begin(beginning: Beginning): Soon<Watch> {
    const { target, start, since, id } = beginning;
    const route = this.#route(target, since);
    // What the store was asked for is known here afterwards; what has come meanwhile counts.
    if (route instanceof Promise) return route.then(() => this.begin(beginning));
    const wished = start();
    const isLost = route.isNews && wished.position !== undefined;
    const isAway = route.at.text !== target.node.text;
    // What a roster shows is found at the contact's own address: of the other one its reader may know nothing.
    const known = isAway && target.isOfRoster ? { ...wished, isPartial: true } : wished;
    const from = isLost ? { ...wished, position: undefined, isLost } : known;
    const made = isAway ? (since ?? target.made) : target.made;
    const watch = this.#stream.add({ ...target, node: route.at, made }, from, id);
    // Its reader may have gone meanwhile.
    if (watch.stage === "ended") return watch;
    this.#post(watch, target, route);
    const left = isAway ? target.node : route.left;
    if (left === undefined) return watch;
    this.#leave({ ...target, node: left }, id);
    if (from.position !== undefined && !target.isOfRoster) return watch;
    const tell = (): void => this.#tell(watch, target, route, this.#deps.hub.position);
    if (this.#early) this.#early.push(tell);
    else tell();
    return watch;
  }

  /** The stream has begun: what it is told comes after what tells it to forget. */
  begun(): void {
    for (const tell of this.#early ?? []) tell();
    this.#early = undefined;
  }

  /** Its reader forgets what it was told: it is told again where each watch is. */
  tellAgain(): void {
    for (const [watch, { target, route }] of this.#wishes) {
      if (this.isAway(watch)) this.#tell(watch, target, route, this.#deps.hub.position);
    }
  }

  /** What was wished of the watch, wherever it is now. */
  wished(watch: Watch): Target {
    return this.#wishes.get(watch)?.target ?? watch.target;
  }

  isAway(watch: Watch): boolean {
    return this.wished(watch).node.text !== watch.target.node.text;
  }

  /** Something was decided on its way. @param position where in the log; undefined where nothing there says so */
  look(watch: Watch, position: number | undefined): void {
    // A group's members are watched where they are members; nobody else would know of it by the group.
    if (watch.target.isGathered) return;
    const target = this.wished(watch);
    const found = this.#route(target);
    if (found instanceof Promise) this.#lookAgain(watch, found, position);
    else this.#go(watch, target, found, position);
  }

  /** The store is asked first. Whoever is cut off meanwhile comes back as from before. */
  #lookAgain(watch: Watch, asked: Promise<unknown>, position: number | undefined): void {
    const { floors } = this.#stream;
    floors.set(asked, this.#before(position));
    floors.hold();
    const again = (): void => {
      if (watch.stage !== "ended") this.look(watch, position);
      floors.delete(asked);
      floors.hold();
    };
    asked.then(again, () => {
      this.#retry = setTimeout(again, retryMs);
    });
  }

  /** Where a reader stands that has not heard of what came at a position; of what has none, nobody can say that it has. */
  #before(position: number | undefined): Start {
    const text = this.#deps.history.cursor(position === undefined ? 0 : position - 1);
    return { text, position: undefined, isLost: false };
  }

  /** The watch is no more. */
  dropped(watch: Watch): void {
    for (const scout of this.#wishes.get(watch)?.scouts ?? []) this.#deps.hub.remove(scout);
    this.#wishes.delete(watch);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    for (const watch of [...this.#wishes.keys()]) this.dropped(watch);
  }

  #route(target: Target, since?: number): Soon<Route> {
    return this.#deps.forwarding.follow({ ...wayOf(this.#stream, target), since });
  }

  #go(watch: Watch, target: Target, route: Route, position: number | undefined): void {
    if (watch.stage === "ended") return;
    if (route.at.text === watch.target.node.text) this.#remain(watch, target, route, position);
    else this.#move(watch, target, route, position);
  }

  /** It stays where it is, perhaps for another time than was said. */
  #remain(watch: Watch, target: Target, route: Route, position: number | undefined): void {
    const before = this.#wishes.get(watch)?.route;
    this.#post(watch, target, route);
    if (before === undefined || before.untilMs === route.untilMs || !this.isAway(watch)) return;
    this.#tell(watch, target, route, position ?? this.#deps.hub.position);
  }

  #move(watch: Watch, target: Target, route: Route, position: number | undefined): void {
    const { known } = watch;
    const at = position ?? this.#deps.hub.position;
    // Messages to whoever watches there are for it from now on.
    const there = { ...target, node: route.at, made: at };
    const next = this.#stream.add(there, this.#before(position), watch.id, watch);
    this.#stream.drop(watch);
    this.#post(next, target, route);
    this.#leave(watch.target, watch.id);
    if (known) this.#takeBack(known, at);
    else this.#stream.reset();
    // Whom the owner grants nothing any more sees what it knew vanish, and hears no word of why; a reset tells by itself.
    if (route.isOpen && (known || !this.isAway(next))) this.#tell(next, target, route, at);
    this.#owner.onMoved(next);
  }

  /** Unless another watch of the same stream shows it as well. */
  #takeBack(known: ReadonlyMap<string, number>, position: number): void {
    const lost = new Map<string, number>();
    let newest = 0;
    for (const [subject, revision] of known) {
      const { address, name } = placeOf(subject);
      if (this.#stream.watches(address, name)) continue;
      lost.set(subject, revision);
      newest = Math.max(newest, revision);
    }
    this.#stream.takeBack(lost, Math.max(position, newest + 1));
  }

  /** One that is kept ends where it was watched, for the owner of that place. */
  #leave({ node, isKept }: Target, id: string | undefined): void {
    const { caller } = this.#stream;
    if (!isKept || id === undefined || caller === undefined) return;
    const isBack = (): boolean =>
      [...this.#wishes.keys()].some((one) => one.id === id && one.target.node.text === node.text);
    this.#deps.doorkeeper.ended(node, caller.address, id, isBack);
  }

  #tell(watch: Watch, { node }: Target, { at, untilMs }: Route, position: number): void {
    const { epoch, now } = this.#deps;
    const move = {
      epoch,
      node: node.text,
      to: at.text,
      untilMs,
      subscription: watch.id,
      position,
      timeMs: now(),
    };
    this.#stream.announce(nodeMoved(move));
  }

  /** Somebody listens at every node on the way. */
  #post(watch: Watch, target: Target, route: Route): void {
    const { along } = route;
    const posted = this.#wishes.get(watch)?.scouts ?? [];
    if (along.length === posted.length && posted.every((one, index) => one.isAt(along[index]))) {
      if (posted.length > 0) this.#wishes.set(watch, { target, route, scouts: posted });
      return;
    }
    this.dropped(watch);
    const scouts = along.map((node) => new Scout(node, (position) => this.look(watch, position)));
    for (const scout of scouts) this.#deps.hub.add(scout);
    this.#wishes.set(watch, { target, route, scouts });
  }
}

/** Hears what is decided at a node that is not watched for its properties. */
class Scout implements Listening {
  readonly isScout = true;
  readonly target: Target;
  readonly #onNews: (position: number | undefined) => void;

  constructor(node: Address, onNews: (position: number | undefined) => void) {
    this.target = { node, depth: "0", properties: [] };
    this.#onNews = onNews;
  }

  isAt(node: Address | undefined): boolean {
    return node?.text === this.target.node.text;
  }

  /** Somebody came to be there, or is no more. */
  take({ change }: Arrival): void {
    if (change.name === "") this.#onNews(change.position);
  }

  turned({ position }: { readonly position: number }): void {
    this.#onNews(position);
  }

  retyped({ position }: { readonly position: number }): void {
    this.#onNews(position);
  }

  forwarded({ position }: { readonly position: number | undefined }): void {
    this.#onNews(position);
  }
}

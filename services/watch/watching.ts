// Watching: streams of whoever watches, over one hub. The folder's public file.
// In: callers, what they watch, where they left off. Out: streams that a transport drains. Never: a stream that outlives its disposal.
import { type Address, rootOf } from "../core/address.ts";
import type { Cursor } from "../core/cursor.ts";
import { allows, type Right } from "../core/principal.ts";
import type { Soon } from "../core/soon.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import type { Members } from "../groups/groups.ts";
import type { Messages } from "../messages/messages.ts";
import type { Book } from "../policy/policies.ts";
import type { Access, Visibilities } from "../property/properties.ts";
import { askedTwice, type Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { factsOfNode } from "../store/subjects.ts";
import { openAcquaintance } from "./acquaintance.ts";
import type { Doorkeeper } from "./doorkeeper.ts";
import type { OpenStream } from "./explain.ts";
import { hasShifted, type Way, wayOf } from "./following.ts";
import { type History, type Start, startOfSome } from "./history.ts";
import { openHub } from "./hub.ts";
import type { Notices } from "./notices.ts";
import type { OwnDeps } from "./own-deps.ts";
import { openReaders } from "./readers.ts";
import { Reading, type ReadingDeps } from "./reading.ts";
import type { Tally } from "./session.ts";
import { openShares, type Share } from "./shares.ts";
import type { StreamRequest, Watcher } from "./stream-request.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { single, type Target } from "./target.ts";

export type { Attempt, Deliveries } from "./deliveries.ts";
export { openDoorkeeper } from "./doorkeeper.ts";
export { type Explain, openExplain } from "./explain.ts";
export { type History, openHistory } from "./history.ts";
export type { HookStanding } from "./hook.ts";
export { type Hooked, openHooked } from "./hooked.ts";
export { openHooks } from "./hooks.ts";
export { endAll } from "./leaving.ts";
export { openNotices } from "./notices.ts";
export { type Delivery, toldEvent } from "./session.ts";
export { openStanding, type Standing } from "./standing.ts";
export type { StreamRequest, Watcher } from "./stream-request.ts";
export { type Subscription, subscriberOf } from "./subscription-facts.ts";
export type { SubscriptionChangeWish, SubscriptionWish } from "./subscription-wish.ts";
export { openSubscriptions, type Subscriptions } from "./subscriptions.ts";
export type { Target } from "./target.ts";
export { openWatchers, type Watchers } from "./watchers.ts";
export { parseWatchWish, requireWatchScope, targetOf, type WatchWish } from "./wish.ts";

export interface Watching extends Disposable {
  /** Snapshot, then live, until disposed of. @throws Refusal `bad-cursor`, LogUnavailable */
  open(request: StreamRequest): Promise<Watcher>;
  /** Somebody registered with this e-mail address. */
  registered(email: string, address: Address): void;
  streamsOf(watcher: Address): readonly OpenStream[];
  /** Of the time of all filters, one reader's. */
  share(reader: string): Share;
  /** Where a reader goes on that reads the present state after this was asked. */
  cursor(): string;
  readonly streams: number;
  /** What the streams did so far. */
  readonly tally: Readonly<Tally>;
}

export interface WatchDeps extends Pick<OwnDeps, "whoHas" | "standing" | "own"> {
  readonly log: Log;
  readonly follower: Follower;
  readonly history: History;
  readonly subscriptions: Pick<Subscriptions, "of" | "end">;
  readonly book: Book;
  readonly members: Pick<Members, "of" | "turnsSince" | "turnsNear" | "listen">;
  readonly visibilities: Pick<Visibilities, "listen">;
  readonly forwarding: Pick<Forwarding, "listen" | "follow">;
  /** Who may see what: asked at delivery. */
  readonly access: Access;
  readonly doorkeeper: Pick<Doorkeeper, "admit" | "leave" | "ended">;
  readonly notices: Pick<Notices, "of">;
  readonly messages: Pick<Messages, "mail" | "rights">;
  /** Ends leases whose time has come, so that no snapshot shows a leased value after its deadline. */
  readonly settle: (fact: Fact) => Soon<Fact | undefined>;
  readonly now: () => number;
  /** How long after it was stored an event was handed to its transport, in ms: once for each time that a stream was drained. */
  readonly onSent?: ((afterMs: number) => void) | undefined;
}

/** How often readers of quiet streams are told how far they have come. */
const bookmarkMs = 30_000;

export function openWatching(deps: WatchDeps): Watching {
  const { log, follower, history, subscriptions, access, messages, forwarding, doorkeeper, now } = deps;
  const { epoch } = log;
  const { audience } = access;
  const hub = openHub({
    epoch,
    book: deps.book,
    visibilities: deps.visibilities,
    forwarding,
    follower,
    history,
    messages,
    audience,
  });
  const ready = new Set<Reading>();
  const touched = new Set<Reading>();
  const acquaintance = openAcquaintance(deps);
  const readers = openReaders(hub, deps.members);
  const share = openShares(now);

  /** After a run of facts that came together: time to write out. */
  function flush(): void {
    const all = [...touched];
    touched.clear();
    for (const reading of all) if (ready.has(reading)) reading.onReady();
  }

  const bookmarks = setInterval(() => {
    for (const { stream } of ready) stream.bookmark();
  }, bookmarkMs);
  bookmarks.unref();

  const tally: Tally = { offered: 0, conflated: 0, sent: 0 };
  const readingDeps: ReadingDeps = {
    stream: {
      tally,
      onSent: deps.onSent ?? (() => undefined),
      epoch,
      log,
      hub,
      history,
      settle: deps.settle,
      now,
      audience,
      access,
      doorkeeper,
      known: follower.known,
      messages,
      caughtUp: follower.caughtUp,
    },
    following: { epoch, forwarding, hub, history, doorkeeper, now },
    own: {
      now,
      access,
      whoHas: deps.whoHas,
      standing: deps.standing,
      epoch,
      members: deps.members,
      foundBy: async (account) => (await log.snapshot([factsOfNode(rootOf(account), "match")])).facts,
      own: deps.own,
      end: subscriptions.end,
      acquaintance,
    },
    startOf,
    touched(reading) {
      if (touched.size === 0) queueMicrotask(flush);
      touched.add(reading);
    },
    ended(reading) {
      readers.remove(reading.own, reading.caller?.address);
      ready.delete(reading);
      touched.delete(reading);
    },
  };

  async function open(request: StreamRequest): Promise<Watcher> {
    const { caller, via, targets, own, only, after } = request;
    const isAll = only === undefined;
    const isTold = (right: Right): boolean => isAll && caller !== undefined && allows(caller.scopes, right);
    // An agent's scopes are those of what it reads and writes; what else it hears, its host has weighed.
    const { inbox, notices } = request.brings ?? { inbox: isTold("message"), notices: isTold("watch") };
    const way = (target: Target): Way => wayOf({ caller, via }, target);
    for (const { look, node, names } of single(targets).map(way)) {
      await askedTwice(follower, () => access.requireOpen(look, node, names, "watch"));
    }
    const left = await startOf(after);
    const { position } = left;
    // What the ways depend on is known here once it was asked for.
    const ways = targets.map(way);
    for (const one of ways) await forwarding.follow({ ...one, since: position });
    const starts: Start[] = [];
    for (const one of ways) starts.push(await acquaintance.startOf(one, left));
    // Asked in the moment in which they are taken up: from there on the feed tells.
    const isOther = ways.some((one, at) => {
      const since = starts[at]?.position;
      return since !== undefined && hasShifted(deps, one, since);
    });
    // What was decided meanwhile may hide what the reader knows: then it begins anew.
    const start = isOther ? { ...left, position: undefined, isLost: true } : left;
    const reach = { only, hearsWatchers: notices, hearsGroups: request.brings?.notices ?? isAll };
    const payer = share(request.payer ?? caller?.address.text ?? via);
    const reading = new Reading(request, start, payer, reach, readingDeps);
    const { stream, following, own: mine } = reading;
    readers.add(mine, own ? caller?.address : undefined);

    try {
      const ofRoster = caller ? startOfSome(start, deps.book.of(caller.address.text).changed) : start;
      for (const [at, target] of targets.entries()) {
        const its = starts[at] as Start;
        // One reset is word enough for all of them.
        const from = its !== left && !isOther ? its : target.isOfRoster ? ofRoster : start;
        const begun = following.begin({ target, start: () => from, since: its.position });
        if (begun instanceof Promise) await begun;
      }
      if (own && caller) {
        // Nothing of before is shown anew because somebody who is watched has decided anew.
        if (inbox) stream.addInbox(caller, left);
        const { held, ended } = await subscriptions.of(caller.address, only);
        // One that was made after an unblock must not end by the block.
        await follower.known(Math.max(0, ...held.map(({ position }) => position)));
        for (const one of held) await mine.begin(one);
        for (const one of ended) mine.beginEnded(one);
        const { sinceMs = Number.POSITIVE_INFINITY } = request.brings ?? {};
        const from = start.position ?? Number.POSITIVE_INFINITY;
        const isMissed = ({ position, timeMs }: Fact): boolean =>
          after ? position > from : timeMs >= sinceMs;
        if (notices && (after || request.brings))
          for (const fact of await deps.notices.of(caller.address))
            if (isMissed(fact)) mine.tellOfWatcher(fact);
        mine.members.begin(start.position);
        await mine.begun();
      }
      const opening = stream.open();
      following.begun();
      await opening;
    } catch (error) {
      reading[Symbol.dispose]();
      throw error;
    }
    ready.add(reading);
    return reading;
  }

  /** Where a reader goes on, once everything is known that was decided before it came. */
  async function startOf(after: Cursor | undefined): Promise<Start> {
    const start = await history.start(after);
    if (start.position !== undefined) await follower.caughtUp();
    return start;
  }

  return {
    open,
    registered: readers.registered,
    streamsOf(watcher) {
      const its = [...ready].filter(({ caller }) => caller?.address.text === watcher.text);
      return its.map(({ stream }) => stream);
    },
    share,
    cursor: () => history.cursor(follower.position),
    tally,
    get streams() {
      return ready.size;
    },
    [Symbol.dispose]() {
      clearInterval(bookmarks);
      readers[Symbol.dispose]();
      acquaintance[Symbol.dispose]();
      hub[Symbol.dispose]();
    },
  };
}

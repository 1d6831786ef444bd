// Feeding: the projection kept up with the log, without anybody waiting for it.
// In: the follower's facts; the log itself for whatever came before or did not fit. Out: batches to the thread, and how far it has come. Never: an unbounded queue, or a fact left out.
//
// While it is up to date it takes what the follower tells. When it is not (at the start, after a crash of the thread, when
// more comes than it can take) it reads the log by itself, at its own pace, until it has caught up with the follower.
import { setTimeout as delay } from "node:timers/promises";
import { parseAddress } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";
import type { Book } from "../policy/policies.ts";
import type { Visibilities } from "../property/properties.ts";

import type { Follower } from "../store/follower.ts";
import type { Fact, Log } from "../store/log.ts";
import { nameOf, placeOf } from "../store/subjects.ts";
import { type BacklogBounds, openBacklog, usualBounds } from "./backlog.ts";
import { changeOf, kinds, takenIn } from "./changes.ts";
import { openCourtesy } from "./courtesy.ts";
import type { Found, Question } from "./finder.ts";

import { Pace } from "./pace.ts";
import type { Change, Standing } from "./projection.ts";
import { mayResume, type Term, termsOf, termText } from "./resume.ts";
import { startThread, type Thread, ThreadFailed } from "./thread.ts";

export interface FeedingDeps {
  readonly log: Log;
  readonly follower: Follower;
  readonly book: Pick<Book, "of">;
  readonly visibilities: Pick<Visibilities, "of" | "ownersOf">;
  readonly domain: string;
  readonly now: () => number;
  readonly onTrouble: (message: string) => void;
  /** The database, or `:memory:`. */
  readonly file: string;
  readonly bounds?: BacklogBounds | undefined;
}

export interface Feeding extends AsyncDisposable {
  /** @throws Refusal `unavailable` while there is nobody to ask */
  find(question: Question): Promise<Found>;
  /** Resolves when the projection shows everything up to a position: true; or false where that takes too long. */
  shows(position: number): Promise<boolean>;
  /** Up to here it shows everything. */
  readonly position: number;
  /** How often it began anew, empty. */
  readonly rebuilds: number;
}

interface Waiting {
  readonly position: number;
  readonly done: (isShown: boolean) => void;
}

const retryMs = 1_000;
const patienceMs = 1_000;
/** Further behind than this nobody waits for it. */
const gapMax = 5_000;
/** As long as nobody asks, what comes is taken in so often: of what changes meanwhile the newest is enough. */
const paceMs = 100;

export function startFeeding(deps: FeedingDeps): Feeding {
  const { log, follower, now, onTrouble, file, bounds = usualBounds } = deps;
  const backlog = openBacklog(bounds);
  const pace = new Pace(paceMs);
  let isClosing = false;
  /** Ends with the thread, or with the broker. */
  let life = new AbortController();
  let starting = begun();
  let current: Thread | undefined;
  /** Whether the follower alone tells what is new. */
  let isLive = false;
  let isApplying = false;
  let isDamaged = false;
  let shown = 0;
  let terms: readonly Term[] = [];
  let rebuilds = 0;
  let wake: () => void = () => undefined;
  let waiting: readonly Waiting[] = [];

  const courtesy = openCourtesy(bounds.count, take, () => wake());
  const listening = follower.listen({ take: courtesy.take, flush: () => wake() });

  function take(fact: Fact): void {
    // What one fact means for many comes under that one's position.
    const isKnown = fact.basis ? fact.position < backlog.seen : fact.position <= backlog.seen;
    if (!isLive || isKnown) return;
    if (backlog.isFull) isLive = false;
    else offer(fact);
  }

  function offer(fact: Fact): void {
    const { subject, position, body } = fact;
    const nameAt = subject.lastIndexOf(".");
    const kind = subject.slice(subject.lastIndexOf(".", nameAt - 1) + 1, nameAt);
    if (kind === "term") terms = [...terms, { name: nameOf(subject), position }];
    const change = kinds.has(kind) ? changeOf(fact, placeOf(subject), deps) : undefined;
    // Of one owner's decisions the newest say it all.
    const key = change?.is === "decisions" ? `decisions ${change.owner}` : subject;
    if (change) backlog.add(key, position, change, subject.length + body.length);
    if (change?.is === "type") offerOwn(change, position);
    // Of what one fact means for many, more may follow, until that one is told itself.
    backlog.seen = fact.basis ? position - 1 : position;
    if (backlog.isEmpty && !isApplying) show(backlog.seen);
  }

  /** A type of the domain takes the place of accounts' own, or leaves it to them: to each what now holds for it. */
  function offerOwn({ name, except = [] }: Extract<Change, { is: "type" }>, position: number): void {
    for (const owner of except) {
      const visibility = deps.visibilities.of(parseAddress(owner), name);
      const change = { is: "type", name, owner, visibility } as const;
      backlog.add(`own type ${owner} ${name}`, position, change, owner.length + name.length);
    }
  }

  function show(position: number): void {
    shown = position;
    if (waiting.length === 0) return;
    const reached = waiting.filter((one) => one.position <= position);
    waiting = waiting.filter((one) => one.position > position);
    for (const { done } of reached) done(true);
  }

  function standingAt(position: number): Standing {
    const newest = terms.findLastIndex((one) => one.position <= position);
    const term = terms[newest];
    if (newest > 0) terms = terms.slice(newest);
    return { epoch: log.epoch, position, term: term ? termText(term) : "", savedMs: now() };
  }

  async function applyNext(thread: Thread): Promise<void> {
    const { changes: noted, position } = backlog.take();
    const changes = noted.map((one) => takenIn(one, deps));
    const standing = standingAt(position);
    isApplying = true;
    try {
      for (let left = await thread.apply(changes, standing); left.length > 0; ) {
        left = await thread.apply(left, standing);
      }
    } finally {
      isApplying = false;
    }
    show(backlog.isEmpty ? backlog.seen : position);
  }

  /** Reads the log from where the projection stands, until it has come as far as the follower. */
  async function catchUp(thread: Thread): Promise<void> {
    while (!life.signal.aborted && !isLive) {
      while (!backlog.isEmpty && !life.signal.aborted) await applyNext(thread);
      const told = follower.position;
      const end = await log.end();
      if (end > backlog.seen) await readOn(thread);
      else {
        // What was told beyond the end, the log has forgotten.
        backlog.seen = Math.max(backlog.seen, told);
        isLive = follower.position === told;
      }
    }
  }

  async function readOn(thread: Thread): Promise<void> {
    const enough = new AbortController();
    const signal = AbortSignal.any([enough.signal, life.signal]);
    for await (const facts of log.feed(backlog.seen, signal)) {
      // What owners have decided is known from the follower.
      await follower.known(facts.at(-1)?.position ?? 0);
      for (const fact of facts) {
        offer(fact);
        if (life.signal.aborted) return;
        if (!backlog.isFull) continue;
        // The rest would wait in memory.
        enough.abort();
        await applyNext(thread);
      }
      if (backlog.seen >= follower.position) isLive = true;
      if (isLive) enough.abort();
    }
  }

  async function serve(thread: Thread): Promise<void> {
    const { standing } = thread;
    const isOurs = await mayResume(standing, deps);
    if (!isOurs) {
      rebuilds++;
      await thread.clear();
    }
    shown = isOurs ? standing.position : 0;
    terms = isOurs ? termsOf(standing) : [];
    backlog.clear();
    backlog.seen = shown;
    current = thread;
    starting.resolve();
    while (!life.signal.aborted) {
      if (!isLive) await catchUp(thread);
      else if (backlog.isEmpty) await new Promise<void>((resolve) => (wake = resolve));
      else {
        if (waiting.length === 0 && !isClosing) await pace.pause();
        await applyNext(thread);
      }
    }
    // Where it stands, so that the next start need not read again what it has seen.
    if (isClosing) await thread.apply([], standingAt(shown));
  }

  async function run(): Promise<void> {
    // The start of the broker comes first.
    await follower.caughtUp().catch(() => undefined);
    while (!isClosing) {
      let thread: Thread | undefined;
      try {
        thread = await startThread(file);
        void thread.ended.then(stop);
        await serve(thread);
      } catch (error) {
        if (error instanceof ThreadFailed && error.isDamaged) isDamaged = true;
        if (!isClosing) onTrouble(`the directory starts anew: ${(error as Error).message}`);
      }
      if (isDamaged) await thread?.clear().catch(() => undefined);
      isDamaged = false;
      isLive = false;
      current = undefined;
      await thread?.[Symbol.asyncDispose]();
      starting.reject(new Refusal("unavailable", "The directory is starting anew."));
      if (isClosing) return;
      starting = begun();
      life = new AbortController();
      await delay(retryMs, undefined, { signal: life.signal }).catch(() => undefined);
    }
  }

  function stop(): void {
    life.abort();
    wake();
    pace.hurry();
  }

  const running = run();

  return {
    async find(question) {
      if (current === undefined) await starting.promise;
      if (current === undefined) throw new Refusal("unavailable", "The directory is starting anew.");
      try {
        return await current.find(question);
      } catch (error) {
        if (!(error instanceof ThreadFailed)) throw error;
        onTrouble(`a search failed: ${error.message}`);
        if (error.isDamaged) {
          isDamaged = true;
          stop();
        }
        throw new Refusal("unavailable", "The directory is starting anew.");
      }
    },
    async shows(position) {
      if (shown >= position) return true;
      if (current && !isLive && position - shown > gapMax) return false;
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const one = { position, done: resolve };
      waiting = [...waiting, one];
      courtesy.hurry();
      pace.hurry();
      const timer = setTimeout(() => {
        waiting = waiting.filter((other) => other !== one);
        resolve(false);
      }, patienceMs);
      const isShown = await promise;
      clearTimeout(timer);
      return isShown;
    },
    get position() {
      return shown;
    },
    get rebuilds() {
      return rebuilds;
    },
    async [Symbol.asyncDispose]() {
      isClosing = true;
      stop();
      starting.reject(new Refusal("unavailable", "The broker is stopping."));
      listening[Symbol.dispose]();
      courtesy[Symbol.dispose]();
      await running;
    },
  };
}

function begun(): PromiseWithResolvers<void> {
  const starting = Promise.withResolvers<void>();
  // Most often nobody waits for it.
  starting.promise.catch(() => undefined);
  return starting;
}

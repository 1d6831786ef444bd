// Push: subscriptions that are delivered by POST. The folder's public file.
// In: subscriptions with a webhook, the feed by way of streams. Out: signed requests, attempts, states. Never: a dead endpoint that delays another one.
//
// Each broker knows all webhooks; the division has each of them worked on by one broker, and carries its progress.
import { parseCursor } from "../core/cursor.ts";
import { openGate, type Room } from "../egress/egress.ts";
import type { Book } from "../policy/policies.ts";
import type { Deliveries, History, Hooked, HookStanding, Subscription, Watching } from "../watch/watching.ts";
import { subscriberOf } from "../watch/watching.ts";
import type { Claim, Work } from "../work/work.ts";
import { type Delivering, deliver, type OpenFrom } from "./delivering.ts";
import type { PostingDeps } from "./posting.ts";
import { begunAnew, type Progress, progressJson, progressOf } from "./progress.ts";
import { type PushTimes, usualTimes } from "./push-times.ts";

export type { PushTimes } from "./push-times.ts";

export interface Push extends Deliveries, AsyncDisposable {
  /** Of those that this broker works on, how many fail. */
  readonly failing: number;
}

export interface PushDeps extends Pick<PostingDeps, "egress" | "secretsOf" | "now"> {
  readonly hooked: Hooked;
  readonly book: Pick<Book, "listen">;
  readonly watching: Pick<Watching, "open">;
  readonly history: Pick<History, "start">;
  readonly work: Pick<Work, "divide">;
  readonly onAttempt: (outcome: "delivered" | "retrying" | "failed") => void;
  readonly onTrouble: (message: string) => void;
  /** Others than usual, for tests. */
  readonly times?: PushTimes | undefined;
  /** For requests under way, by account; another than usual, for tests. */
  readonly room?: Room | undefined;
  /** Resolves once everything is known that was decided before. */
  readonly caughtUp: () => Promise<void>;
}

/** One account has at most 400 under way; it takes thirty that do all they may until none is left for whoever comes next. */
const usualRoom: Room = { places: 2_000, sharedBy: 4 };

export function openPush(deps: PushDeps): Push {
  const { hooked, book, watching, history, work, times = usualTimes, room = usualRoom } = deps;
  const gate = openGate(room);
  const all = new Map<string, Subscription>();
  const running = new Map<string, Delivering>();
  let isKnown = false;
  const division = work.divide("webhook", async (claim) => await run(claim));
  const listening = hooked.listen({
    changed(one) {
      const item = itemOf(one);
      const isNew = !all.has(item);
      all.set(item, one);
      if (isNew) division.add(item);
    },
    ended(one) {
      const item = itemOf(one);
      all.delete(item);
      division.remove(item);
    },
  });

  const turning = book.listen(({ owner }) => {
    for (const one of running.values()) one.recallOf(owner);
  });

  async function run(claim: Claim): Promise<void> {
    const delivering = deliver(claim, {
      ...deps,
      one: () => all.get(claim.item),
      open,
      gate,
      times,
      dice: Math.random,
    });
    running.set(claim.item, delivering);
    try {
      await delivering.ended;
    } finally {
      if (running.get(claim.item) === delivering) running.delete(claim.item);
    }
  }

  /** Before the whole log is known, a block may not be: nothing is delivered then. */
  async function whenKnown(): Promise<void> {
    if (isKnown) return;
    await deps.caughtUp();
    isKnown = true;
  }

  async function open(one: Subscription, { after, onReady, onTakenBack }: OpenFrom) {
    await whenKnown();
    return await watching.open({
      caller: subscriberOf(one),
      via: "webhook",
      targets: [],
      own: true,
      only: one.id,
      after: after === undefined ? undefined : parseCursor(after),
      onReady,
      onTakenBack,
    });
  }

  /** As this broker has it, or as it was saved last. */
  async function progressOfOne(one: Subscription): Promise<Progress> {
    const item = itemOf(one);
    return running.get(item)?.progress ?? progressOf(await division.progress(item));
  }

  async function begin(one: Subscription, from: (present: Progress) => string | undefined): Promise<void> {
    const present = await progressOfOne(one);
    await division.reset(itemOf(one), () => progressJson(begunAnew(present, from(present))));
    // Whatever still runs here has nothing more to say.
    running.delete(itemOf(one));
  }

  return {
    async standing(one): Promise<HookStanding> {
      const { state, reason } = await progressOfOne(one);
      return reason === undefined ? { state } : { state, reason };
    },
    attempts: async (one) => (await progressOfOne(one)).attempts.toReversed(),
    async replay(one, after) {
      if (after !== undefined) await history.start(parseCursor(after));
      await begin(one, () => after);
    },
    renew: async (one) => await begin(one, ({ cursor }) => cursor),
    get failing() {
      return [...running.values()].filter(({ progress }) => progress.state === "failing").length;
    },
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]();
      turning[Symbol.dispose]();
      await division[Symbol.asyncDispose]();
    },
  };
}

function itemOf({ subscriber, id }: Subscription): string {
  return `${subscriber.text}/${id}`;
}

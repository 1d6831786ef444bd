// Delivering: one webhook's stream, POST by POST, as long as this broker holds the claim to it.
// In: a claim, a stream from where the endpoint is. Out: POSTs in order, one at a time, and progress. Never: a second one under way, or a delivery counted that nobody acknowledged.
//
// A failure ends the stream; another one begins where the endpoint is, and is not drained before the next attempt is due.
// What happens meanwhile is the stream's own business: blocks, and of each property only the newest value.
import { setTimeout as delay } from "node:timers/promises";
import { Refusal } from "../core/refusal.ts";
import type { Gate } from "../egress/egress.ts";
import type { Delivery, Subscription, Watcher } from "../watch/watching.ts";
import { type Claim, openSaving } from "../work/work.ts";
import { type Bell, openBell } from "./bell.ts";
import { after } from "./outcome.ts";
import { letterOf, nextParcel, type Parcel } from "./parcel.ts";
import { type PostingDeps, post } from "./posting.ts";
import { type Progress, progressJson, progressOf } from "./progress.ts";
import type { PushTimes } from "./push-times.ts";
import { openWay, type Way } from "./way.ts";

export interface DeliveringDeps extends Omit<PostingDeps, "answerMs"> {
  /** The subscription as it is now; undefined once it has ended. */
  readonly one: () => Subscription | undefined;
  readonly open: (one: Subscription, from: OpenFrom) => Promise<Watcher>;
  readonly gate: Gate;
  readonly times: PushTimes;
  /** 0 to 1. */
  readonly dice: () => number;
  readonly onAttempt: (outcome: "delivered" | "retrying" | "failed") => void;
  readonly onTrouble: (message: string) => void;
}

export interface OpenFrom {
  readonly after: string | undefined;
  readonly onReady: () => void;
  readonly onTakenBack: () => void;
}

export interface Delivering {
  readonly progress: Progress;
  /** An owner has decided anew: nothing of before is on its way for long. */
  recallOf(owner: string): void;
  /** Until the signal, or until the webhook is disabled. */
  readonly ended: Promise<void>;
}

const minuteMs = 60_000;

export function deliver(claim: Claim, deps: DeliveringDeps): Delivering {
  const { one, open, gate, times, dice, now, onAttempt, onTrouble } = deps;
  const { signal } = claim;
  let progress = progressOf(claim.progress);
  /** What was taken from the stream last, until all of it is delivered. */
  let taken: { readonly events: readonly Delivery[]; readonly way: Way } | undefined;
  /** Not before then, where the endpoint asked for few requests a minute. */
  let nextMs = 0;
  const saving = openSaving({
    progress: () => progressJson(progress),
    save: (saved) => claim.save(saved),
    againMs: times.storeMs,
  });

  async function run(): Promise<void> {
    using _ = saving;
    while (!signal.aborted && progress.state !== "disabled") {
      try {
        await session();
      } catch (error) {
        if (error instanceof Refusal && error.code === "bad-cursor") {
          progress = { ...progress, cursor: undefined };
          continue;
        }
        if (signal.aborted) return;
        onTrouble(`webhook ${claim.item} waits: ${(error as Error).message}`);
        await pause(times.storeMs, signal);
      }
    }
    // Nobody would know that it is disabled.
    while (!signal.aborted && !(await saving.now())) await pause(times.storeMs, signal);
  }

  /** One stream, until something fails or is taken back. */
  async function session(): Promise<void> {
    const present = one();
    if (present === undefined) return await pause(times.storeMs, signal);
    const bell = openBell();
    using way = openWay(signal, times.recallMs);
    const from = { after: progress.cursor, onReady: bell.ring, onTakenBack: way.recall };
    using watcher = await open(present, from);
    await untilDue(bell);
    while (!signal.aborted) {
      const waiting = [...watcher.take()];
      if (waiting.length === 0) await bell.heard(signal);
      else if (!(await sendAll(waiting, way))) return;
    }
  }

  /** After a failure: until the schedule says so, or something new is there to tell. */
  async function untilDue(bell: Bell): Promise<void> {
    if (progress.failures === 0) return;
    // What the stream begins with is no news.
    await new Promise((resolve) => setImmediate(resolve));
    bell.hush();
    let isNews = false;
    while (!signal.aborted) {
      const waitMs: number = (isNews ? progress.closedMs : progress.dueMs) - now();
      if (waitMs <= 0) return;
      isNews = (await bell.heard(signal, waitMs)) || isNews;
    }
  }

  /** @returns whether all of it was delivered, so that the stream may go on */
  async function sendAll(waiting: Delivery[], way: Way): Promise<boolean> {
    way.begin();
    taken = { events: [...waiting], way };
    while (waiting.length > 0) {
      const to = one();
      if (to?.hook === undefined || way.isRecalled) return false;
      const parcel = nextParcel(waiting, to.hook.format === "batch");
      const events = parcel.events.filter(({ shared }) => shared.mayTell?.(to.subscriber.text) ?? true);
      if (events.length === 0) {
        progress = { ...progress, cursor: parcel.cursor };
        saving.soon(times.saveIdleMs);
      } else if (!(await attempt({ ...parcel, events }, to, way.signal))) return false;
    }
    way.end();
    taken = undefined;
    return true;
  }

  async function attempt(parcel: Parcel, to: Subscription, stop: AbortSignal): Promise<boolean> {
    const { url = "", format, rate } = to.hook ?? {};
    const letter = letterOf(parcel.events, format === "batch");
    await pause(nextMs - now(), stop);
    const leave = await gate.enter(to.subscriber.text, stop);
    if (leave === undefined) return false;
    const atMs = now();
    if (rate !== undefined) nextMs = atMs + minuteMs / rate;
    const posted = { one: to, url, letter, cursor: parcel.cursor, signal: stop };
    const outcome = await post(posted, { ...deps, answerMs: times.answerMs }).finally(leave);
    if (outcome.is === "given-up") return false;
    const before = progress.state;
    progress = after(progress, { letter, parcel, outcome, atMs, endMs: now(), dice: dice() }, times);
    onAttempt(progress.attempts.at(-1)?.outcome ?? "retrying");
    if (before === "active" && progress.state === "active") saving.soon(times.saveMs);
    else await saving.now();
    return outcome.is === "delivered";
  }

  return {
    get progress() {
      return progress;
    },
    recallOf(owner) {
      const isAbout = ({ shared }: Delivery): boolean => isOf(owner, shared.event.source);
      if (taken?.events.some(isAbout)) taken.way.recall();
    },
    ended: run(),
  };
}

function isOf(owner: string, source: string): boolean {
  return source === `/nodes/${owner}` || source.startsWith(`/nodes/${owner}/`);
}

/** So many ms, or until the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => undefined);
}

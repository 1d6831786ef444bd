// Courtesy: when thousands of leases end by one fact, those who watch are told before the directory looks at any of it.
// In: the follower's facts. Out: the same, in order; from the first part of a crowd's end on a moment later. Never: more of them held than there is room for, or one that overtakes another.
import { setImmediate as turn } from "node:timers/promises";
import type { Fact } from "../store/log.ts";

export interface Courtesy extends Disposable {
  take(fact: Fact): void;
  /** Somebody waits: what is held is handed on from now on. */
  hurry(): void;
}

/** A crowd is told of within a quarter of a second; on a busy machine it may take longer. */
const restMs = 500;
/** Handed on in one turn, so that nobody else waits for long. */
const atOnce = 250;

/** @param heldMax with so many held, all go at once. @param handOn is given each fact. @param flush comes after a run of them */
export function openCourtesy(heldMax: number, handOn: (fact: Fact) => void, flush: () => void): Courtesy {
  let held: Fact[] = [];
  let resting: NodeJS.Timeout | undefined;
  let isHandingOn = false;

  function handOnSome(count: number): void {
    for (const fact of held.splice(0, count)) handOn(fact);
    flush();
  }

  async function handOnAll(): Promise<void> {
    clearTimeout(resting);
    resting = undefined;
    if (isHandingOn) return;
    isHandingOn = true;
    while (held.length > 0) {
      handOnSome(atOnce);
      await turn();
    }
    isHandingOn = false;
  }

  return {
    take(fact) {
      if (fact.basis === undefined && held.length === 0) return handOn(fact);
      held.push(fact);
      if (held.length >= heldMax) handOnSome(heldMax);
      else if (resting === undefined && !isHandingOn) resting = setTimeout(() => void handOnAll(), restMs);
    },
    hurry() {
      if (held.length > 0) void handOnAll();
    },
    [Symbol.dispose]() {
      clearTimeout(resting);
      held = [];
    },
  };
}

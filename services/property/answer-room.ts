// Answer room: how much of what nodes hold is read for one answer.
// In: how long what is shown is. Out: the same taken from what is left, or a Refusal `answer-too-large`. Never: a part of what was asked for.
import { Refusal } from "../core/refusal.ts";

/** Characters of one answer, as the log holds them. */
const answerMax = 16 * 1024 * 1024;
/** The same of what must be looked at for it: one node, with all the views that it may have. */
export const lookedMax = 128 * 1024 * 1024;

export class AnswerRoom {
  #left: number;
  /** What was read for it, also where it was refused. */
  looked = 0;

  /** @param characters that there is room for */
  constructor(characters = answerMax) {
    this.#left = characters;
  }

  /** @throws Refusal */
  requires(characters: number): void {
    if (characters > this.#left) throw answerTooLarge();
  }

  take(characters: number): void {
    this.#left -= characters;
  }
}

export function answerTooLarge(): Refusal {
  return new Refusal("answer-too-large", "There is more than 16 MiB of it; ask for a part.");
}

// Refusals: the one class that carries them.
// In: a code and a detail for this case. Out: what a face turns into RFC 9457 problem+json. Never: a secret or a stack.
import { type RefusalCode, refusals } from "./refusals.ts";

export type { RefusalCode } from "./refusals.ts";

export interface RefusalError {
  /** JSON pointer (RFC 6901) into the body. */
  readonly pointer: string;
  readonly detail: string;
}

export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  readonly errors: readonly RefusalError[] | undefined;
  /** When trying again may help, where that is known. */
  readonly waitSeconds: number | undefined;

  constructor(code: RefusalCode, detail: string, errors?: readonly RefusalError[], waitSeconds?: number) {
    // A refusal is an answer, not a mistake: nobody reads where it was made, and drawing up a stack costs more than the answer.
    const depth = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = depth;
    this.code = code;
    this.errors = errors;
    this.waitSeconds = waitSeconds;
  }

  get status(): number {
    return refusals[this.code].status;
  }
}

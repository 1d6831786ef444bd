// Moved: the one refusal that says where to ask instead.
// In: an address, and whether it is so for a time only. Out: a Refusal with a status of its own. Never: a word to somebody who is not let in there.
import { Refusal } from "./refusal.ts";

/** Who asks may know where the node is found now. */
export class Moved extends Refusal {
  /** The address. */
  readonly to: string;
  readonly isForNow: boolean;

  constructor(to: string, isForNow: boolean) {
    super("moved", `This node is found at ${to}${isForNow ? " for now" : ""}.`);
    this.to = to;
    this.isForNow = isForNow;
  }

  /** RFC 9110 §15.4: both keep the method; the one is for good. */
  override get status(): number {
    return this.isForNow ? 307 : super.status;
  }
}

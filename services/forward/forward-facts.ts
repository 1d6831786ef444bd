// Forward facts: where an account's watchers and messages go on to, as the log holds it, under the account's own node.
// In: bodies of facts. Out: forwards, and what stood there before. Never: one that was not checked when it was made.
import { type Address, parseAddress } from "../core/address.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";

/** What an earlier fact said: to where, from which position of the log on; no address where nothing was forwarded. */
interface Earlier {
  readonly to: Address | undefined;
  readonly position: number;
}

export interface ForwardFact {
  /** Undefined once it was taken back, or has ended. */
  readonly to: Address | undefined;
  /** Undefined: it does not end by itself. */
  readonly untilMs: number | undefined;
  /** The facts before it, the newest last: whoever comes back may have left at any of them. */
  readonly earlier: readonly Earlier[];
  /** Nobody remembers what came before those. */
  readonly isCut: boolean;
}

interface Wire {
  to?: string;
  until?: number;
  was?: readonly (readonly [to: string, position: number])[];
}

const earlierMax = 8;

export const forwardOf = oncePerFact(({ body }): ForwardFact => {
  const { to, until, was } = JSON.parse(body) as Wire;
  const earlier = (was ?? []).map(([at, position]) => ({
    to: at === "" ? undefined : parseAddress(at),
    position,
  }));
  return {
    to: to === undefined ? undefined : parseAddress(to),
    untilMs: until,
    earlier,
    // An account that ended left nothing but the end.
    isCut: earlier.length >= earlierMax || (to === undefined && was === undefined),
  };
});

/** @param before the fact that this one takes the place of */
export function forwardBody(
  to: Address | undefined,
  untilMs: number | undefined,
  before: Fact | undefined,
): string {
  const wire: Wire = {};
  if (to) wire.to = to.text;
  if (untilMs !== undefined) wire.until = untilMs;
  if (before) {
    const { to: last, earlier } = forwardOf(before);
    const all = [...earlier, { to: last, position: before.position }];
    wire.was = all.slice(-earlierMax).map((one) => [one.to?.text ?? "", one.position] as const);
  } else wire.was = [];
  return JSON.stringify(wire);
}

// Tickets: one way into a stream for a browser, which cannot send headers there: good once, for a short time.
// In: a principal. Out: a ticket shown once; a principal for it. Never: a ticket that is good twice, or one at rest in clear.
import { hash, randomBytes } from "node:crypto";
import { timestamp } from "../core/event.ts";
import type { Principal } from "../core/principal.ts";
import { Conflict, type Log } from "../store/log.ts";

export interface Tickets {
  issue(who: Principal): Promise<{ ticket: string; expires: string }>;
  /** Whose ticket this is: from now on nobody's. Undefined when it is not good. */
  redeem(ticket: string): Promise<Redeemed | undefined>;
}

/** What a ticket stands for: the token that asked for it. */
export interface Redeemed {
  readonly local: string;
  readonly tokenId: string;
  readonly scopes: readonly string[];
  readonly expiresMs?: number | undefined;
}

interface TicketFact extends Redeemed {
  readonly untilMs: number;
}

const goodForSeconds = 30;

export function openTickets(deps: { prefix: string; log: Log; now: () => number }): Tickets {
  const { prefix, log, now } = deps;
  /** The log holds the hash alone. */
  const subjectOf = (ticket: string): string => `${prefix}.ticket.${hash("sha256", ticket, "base64url")}`;

  return {
    async issue({ address, tokenId, scopes, expiresMs }) {
      const ticket = randomBytes(24).toString("base64url");
      const untilMs = Math.floor(now()) + goodForSeconds * 1000;
      const body = JSON.stringify({
        local: address.local,
        tokenId,
        scopes,
        expiresMs,
        untilMs,
      } satisfies TicketFact);
      const keepSeconds = goodForSeconds + 1;
      await log.append([{ subject: subjectOf(ticket), body, expected: 0, keepSeconds }]);
      return { ticket, expires: timestamp(untilMs) };
    },
    async redeem(ticket) {
      const fact = await log.last(subjectOf(ticket));
      const { untilMs = 0, ...redeemed } = JSON.parse(fact?.body ?? "{}") as Partial<TicketFact>;
      if (fact === undefined || untilMs <= now()) return undefined;
      try {
        const used = {
          subject: fact.subject,
          body: "{}",
          expected: fact.position,
          keepSeconds: goodForSeconds,
        };
        await log.append([used]);
      } catch (error) {
        if (error instanceof Conflict) return undefined;
        throw error;
      }
      return redeemed as Redeemed;
    },
  };
}

// Member facts: who belongs to a group, as the log holds it, under the group's own node.
// In: bodies of facts. Out: memberships; undefined once somebody has left. Never: one that was not checked when it was made.
import { oncePerFact } from "../store/decoded.ts";

/** `asking`: it wants to, and the owner has yet to say so. */
export type Standing = "member" | "asking";

export interface Membership {
  readonly standing: Standing;
  readonly sinceMs: number;
}

export const membershipOf = oncePerFact(({ body }): Membership | undefined => {
  const { standing, since } = JSON.parse(body) as { standing?: Standing; since: number };
  return standing && { standing, sinceMs: since };
});

export function membershipBody({ standing, sinceMs }: Membership): string {
  return JSON.stringify({ standing, since: sinceMs });
}

export const leftBody = "{}";

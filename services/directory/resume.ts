// Resuming: whether a projection that was kept still belongs to this log's history.
// In: where it stands, what the log says. Out: yes or no. Never: yes where positions may have been given twice, or where the log has forgotten that something ended.
import { makeAddress } from "../core/address.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import type { Log } from "../store/log.ts";
import { factsOfNode, nameOf } from "../store/subjects.ts";
import type { Standing } from "./projection.ts";

export interface ResumeDeps {
  readonly log: Pick<Log, "epoch" | "lastGiven" | "snapshot">;
  readonly domain: string;
  readonly now: () => number;
}

export interface Term {
  readonly name: string;
  readonly position: number;
}

/** Tombstones are kept for so long, less a day for clocks that differ. */
const windowMs = (tombstoneSeconds - 24 * 3600) * 1000;

export async function mayResume(
  { epoch, position, term, savedMs }: Standing,
  { log, domain, now }: ResumeDeps,
): Promise<boolean> {
  if (epoch !== log.epoch || position === 0 || now() - savedMs > windowMs) return false;
  if (position > (await log.lastGiven())) return false;
  // After a restored backup the log has a term in the stretch that the projection knows otherwise, or lacks one that it saw.
  const { facts } = await log.snapshot([factsOfNode(makeAddress("", domain), "term")]);
  const before = facts.filter((fact) => fact.position <= position);
  const newest = before.toSorted((a, b) => a.position - b.position).at(-1);
  return term === (newest ? termText({ name: nameOf(newest.subject), position: newest.position }) : "");
}

export function termText({ name, position }: Term): string {
  return `${name} ${position}`;
}

export function termsOf({ term }: Standing): readonly Term[] {
  const [name, position] = term.split(" ");
  return name && position ? [{ name, position: Number(position) }] : [];
}

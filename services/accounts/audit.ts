// Audit: what happened to accounts, for the operator, each kind of thing in a ring of its own.
// In: what happened. Out: facts that the log keeps for 90 days, and lists of them. Never: a secret, or a caller kept waiting.
//
// Much of this is provoked by strangers: a ring keeps the newest of its kind, so that no kind pushes another out. Entries are
// written after the thing itself: those under way are lost with the process.
import { timestamp } from "../core/event.ts";
import type { Follower } from "../store/follower.ts";
import { Conflict, type Fact, type Log } from "../store/log.ts";
import { escapeToken, unescapeToken } from "../store/subjects.ts";

export type AuditKind =
  | "account.registered"
  | "account.ended"
  | "sign-in.failed"
  | "token.issued"
  | "token.revoked"
  | "password.changed"
  | "invitation.made"
  | "invitation.used"
  | "invitation.ended"
  | "type.set"
  | "type.removed";

export interface AuditDetail {
  /** The address that it is about. */
  readonly account?: string | undefined;
  /** The id of a token. */
  readonly token?: string | undefined;
  /** The id of an invitation. */
  readonly invitation?: string | undefined;
  /** The name of a property type. */
  readonly type?: string | undefined;
  /** How somebody came to an account, where not by registering. */
  readonly via?: "oidc" | undefined;
}

export interface AuditEntry extends AuditDetail {
  readonly id: string;
  readonly time: string;
  readonly kind: string;
  /** How many of its kind came too fast to be written, since the last that was. */
  readonly unrecorded?: number;
}

export interface Audit {
  record(kind: AuditKind, detail: AuditDetail): void;
  /** Those after an id, oldest first; everything that was recorded here before is among them. */
  list(after: string | undefined, limit: number): Promise<{ entries: readonly AuditEntry[]; next?: string }>;
  /** Resolves when nothing is on its way to the log any more. */
  settled(): Promise<void>;
}

export interface AuditDeps {
  readonly prefix: string;
  readonly log: Log;
  readonly follower: Follower;
  readonly now: () => number;
  readonly onTrouble: (message: string) => void;
}

/** The last entries of one kind. */
interface Ring {
  /** Where each of its places stands in the log, as far as it is known here. */
  readonly positions: Map<number, number>;
  next: number;
  newest: number;
  /** Entries that may be written now, and since when they have been counted. */
  allowance: number;
  countedMs: number;
  unrecorded: number;
}

const ringSize = 1_000;
const keepSeconds = 90 * 24 * 3600;
/** Of one kind, by one broker: so many at once, and so many a second. */
const burst = 100;
const perSecond = 10;
/** Entries of all kinds on their way. */
const underWayMax = 1_000;
const triesMax = 20;

export function openAudit({ prefix, log, follower, now, onTrouble }: AuditDeps): Audit & Disposable {
  const infix = `${prefix}.audit.`;
  const rings = new Map<string, Promise<Ring>>();
  const known = new Map<string, Ring>();
  const underWay = new Set<Promise<void>>();
  const following = follower.listen({
    take: (fact) => {
      if (fact.subject.startsWith(infix)) learn(fact);
    },
  });

  function placeOf({ subject }: Pick<Fact, "subject">): { kind: string; place: number } {
    const [kind = "", place = ""] = subject.slice(infix.length).split(".");
    return { kind: unescapeToken(kind), place: Number(place) };
  }

  function learn(fact: Fact): void {
    const { kind, place } = placeOf(fact);
    const ring = known.get(kind);
    if (ring === undefined || (ring.positions.get(place) ?? 0) >= fact.position) return;
    ring.positions.set(place, fact.position);
    if (fact.position < ring.newest) return;
    ring.newest = fact.position;
    ring.next = (place + 1) % ringSize;
  }

  async function load(kind: string): Promise<Ring> {
    const { facts } = await log.snapshot([`${infix}${escapeToken(kind)}.*`]);
    const ring: Ring = {
      positions: new Map(),
      next: 0,
      newest: 0,
      allowance: burst,
      countedMs: now(),
      unrecorded: 0,
    };
    known.set(kind, ring);
    for (const fact of facts) learn(fact);
    return ring;
  }

  function ringOf(kind: string): Promise<Ring> {
    const loading = rings.get(kind) ?? load(kind);
    rings.set(kind, loading);
    loading.catch(() => rings.delete(kind));
    return loading;
  }

  /** Whether one more may be written now. */
  function mayWrite(ring: Ring): boolean {
    const nowMs = now();
    ring.allowance = Math.min(burst, ring.allowance + ((nowMs - ring.countedMs) / 1000) * perSecond);
    ring.countedMs = nowMs;
    if (ring.allowance < 1) return false;
    ring.allowance -= 1;
    return true;
  }

  async function write(kind: AuditKind, detail: AuditDetail, atMs: number): Promise<void> {
    const ring = await ringOf(kind);
    if (!mayWrite(ring)) return void ring.unrecorded++;
    const { unrecorded } = ring;
    ring.unrecorded = 0;
    const body = JSON.stringify({ at: atMs, ...detail, ...(unrecorded > 0 && { unrecorded }) });
    for (let tries = 0; tries < triesMax; tries++) {
      const place = ring.next;
      ring.next = (place + 1) % ringSize;
      const subject = `${infix}${escapeToken(kind)}.${place}`;
      const expected = ring.positions.get(place) ?? 0;
      try {
        const position = await log.append([{ subject, body, expected, keepSeconds }]);
        ring.positions.set(place, position);
        ring.newest = Math.max(ring.newest, position);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        // Another broker took the place, or the log has forgotten what stood there.
        const fact = await log.last(subject);
        ring.positions.set(place, fact?.position ?? 0);
        if (fact === undefined) ring.next = place;
      }
    }
    throw new Error("others kept writing in the same ring");
  }

  async function settled(): Promise<void> {
    await Promise.all(underWay);
  }

  return {
    settled,
    record(kind, detail) {
      if (underWay.size >= underWayMax) return onTrouble(`too much happens to be recorded: ${kind} was not`);
      const writing = write(kind, detail, Math.floor(now()))
        .catch((error: Error) => onTrouble(`${kind} was not recorded: ${error.message}`))
        .finally(() => underWay.delete(writing));
      underWay.add(writing);
    },
    async list(after, limit) {
      await settled();
      const { facts } = await log.snapshot([`${infix}>`]);
      const from = Number(after ?? 0);
      const later = facts.filter(({ position }) => position > from).sort((a, b) => a.position - b.position);
      const entries = later.slice(0, limit).map((fact): AuditEntry => {
        const { at, ...detail } = JSON.parse(fact.body) as AuditDetail & { at: number };
        return { id: String(fact.position), time: timestamp(at), kind: placeOf(fact).kind, ...detail };
      });
      const last = entries.at(-1);
      return later.length > limit && last ? { entries, next: last.id } : { entries };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}

// Found: what standing queries find and lose, told to whoever keeps them.
// In: match facts of the reader's account, as they stood when it came and as the feed brings them. Out: word on its stream, in log order. Never: a property that the reader may not see in the moment in which it is told.
import { type Address, parseAddress } from "../core/address.ts";
import { matchEvent } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import { SparseMap, SparseSet } from "../core/sparse.ts";
import { type Match, matchOf } from "../directory/directory.ts";
import { type Access, nothingDisclosed } from "../property/properties.ts";
import type { Fact } from "../store/log.ts";
import type { Start } from "./history.ts";
import type { Stream } from "./stream.ts";
import type { WatchWish } from "./wish.ts";

export interface FoundDeps {
  readonly epoch: string;
  readonly access: Pick<Access, "may" | "judge">;
  /** Everything that the log holds of what an account's standing queries have found. */
  readonly foundBy: (account: Address) => Promise<readonly Fact[]>;
}

/** A subscription that the stream carries. */
interface Kept {
  readonly wish: Pick<WatchWish, "whom" | "disclosed">;
  readonly start: Start;
}

interface Turn {
  readonly subject: string;
  readonly match: Match;
  readonly position: number;
  readonly isIn: boolean;
  /** What was found is shown with the last turn alone. */
  readonly isLast: boolean;
}

export class Found {
  readonly #stream: Stream;
  readonly #kept: Pick<SparseMap<string, Kept>, "get" | "values">;
  readonly #deps: FoundDeps;
  /** Where the last fact of each was told. */
  readonly #told = new SparseMap<string, number>();
  /** Matches that the reader was not told of, since it may not read the node. */
  readonly #unsaid = new SparseSet<string>();
  /** What the feed brings until what was there has been read. */
  #held: Fact[] | undefined = [];

  constructor(stream: Stream, kept: Pick<SparseMap<string, Kept>, "get" | "values">, deps: FoundDeps) {
    this.#stream = stream;
    this.#kept = kept;
    this.#deps = deps;
  }

  /** Tells a reader what turned while it was away; one that knows nothing, what is found now. */
  async begin(): Promise<void> {
    await this.#tellAll((id) => this.#kept.get(id)?.start.position);
  }

  /** Its reader has been told to forget what it knew. */
  async again(): Promise<void> {
    await this.#tellAll(() => undefined);
  }

  take(fact: Fact): void {
    if (this.#held) this.#held.push(fact);
    else this.#tell(fact);
  }

  #tell(fact: Fact): void {
    const match = matchOf(fact);
    const { subject, position } = fact;
    if (match === undefined) {
      this.#told.delete(subject);
      this.#unsaid.delete(subject);
    } else if (position > (this.#told.get(subject) ?? 0)) {
      this.#told.set(subject, position);
      this.#say({ subject, match, position, isIn: match.isIn, isLast: true });
    }
  }

  async #tellAll(known: (id: string) => number | undefined): Promise<void> {
    const { caller } = this.#stream;
    const isAsking = [...this.#kept.values()].some(({ wish }) => "query" in wish.whom);
    this.#held ??= [];
    try {
      if (!isAsking || caller === undefined) return;
      const turns: Turn[] = [];
      for (const fact of await this.#deps.foundBy(caller.address)) {
        const match = matchOf(fact);
        if (match === undefined) continue;
        this.#told.set(fact.subject, fact.position);
        turns.push(...turnsOf(match, fact, known(match.id)));
      }
      turns.sort((a, b) => a.position - b.position);
      for (const turn of turns) this.#say(turn, "snapshot");
    } finally {
      for (const fact of this.#held?.splice(0) ?? []) this.#tell(fact);
      this.#held = undefined;
    }
  }

  #say({ subject, match, position, isIn, isLast }: Turn, when: "live" | "snapshot" = "live"): void {
    const kept = this.#kept.get(match.id);
    if (kept === undefined) return;
    const { caller, via } = this.#stream;
    // What a search would not show to this token, a standing query does not either.
    if (!caller?.scopes.some((scope) => scope.startsWith("read"))) return;
    const look = { caller, via, disclosed: kept.wish.disclosed ?? nothingDisclosed };
    const { id: subscription, node, atMs } = match;
    const address = parseAddress(node);
    const may = (name: string): boolean => this.#deps.access.may(look, address, name, "read");
    const isVisible = (): boolean => this.#deps.access.judge(look, address, "*", "read").is === "granted";
    if (isIn ? !isVisible() : this.#unsaid.delete(subject)) {
      // Of what it may not read it does not hear; nor that it is over, whatever it was.
      if (isIn) this.#unsaid.add(subject);
      return;
    }
    if (isIn) this.#unsaid.delete(subject);
    const seen = Object.entries(isLast && isIn ? match.properties : {}).filter(([name]) => may(name));
    const properties = JSON.parse(JSON.stringify(Object.fromEntries(seen))) as Record<string, Json>;
    const event = matchEvent({
      id: `${this.#deps.epoch}-${position}`,
      isIn,
      timeMs: atMs,
      data: { subscription, node, properties },
    });
    // It may wait for its reader, and be hidden meanwhile.
    const mayTell = (): boolean => isVisible() && seen.every(([name]) => may(name));
    this.#stream.announce(event, undefined, when, isIn ? mayTell : undefined);
  }
}

/** What a reader is owed that knows everything up to a position; one that knows nothing, what is found now. */
function turnsOf(match: Match, { subject, position }: Fact, known: number | undefined): readonly Turn[] {
  const last: Turn = { subject, match, position, isIn: match.isIn, isLast: true };
  if (known === undefined) return match.isIn ? [last] : [];
  const before = match.before.map(
    ([at, isIn]): Turn => ({ subject, match, position: at, isIn, isLast: false }),
  );
  return [...before, last].filter((turn) => turn.position > known);
}

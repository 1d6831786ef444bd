// The tape: the memory log, and beside it everything that was ever applied to it, in order: the truth of a simulation.
// In: units of facts. Out: positions, reads, and each group of facts as it is applied. Never: a fault; faulty-log.ts makes those.
import type { Unit } from "../../services/store/commit.ts";
import { Conflict, type Fact, type Log } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";

/** Facts that were applied together. */
export interface Group {
  readonly unit: Unit;
  readonly first: number;
  readonly end: number;
  readonly timeMs: number;
  readonly facts: readonly Fact[];
}

export interface Tape extends Omit<Log, "append"> {
  /** The last position ever given, also if the log has forgotten that fact. */
  readonly position: number;
  /** Applies all units or none; each is a group of its own. @returns the position of the first fact */
  apply(units: readonly Unit[]): Promise<number>;
  /** The unit that lies at a position. */
  unitAt(position: number): Group | undefined;
  forget(): Promise<void>;
  listen(listener: (group: Group) => void): void;
}

export function openTape(now: () => number): Tape {
  const log = openMemoryLog({ epoch: "simulated", now });
  const groups = new Map<number, Group>();
  const listeners: ((group: Group) => void)[] = [];
  let position = 0;
  let turn: Promise<unknown> = Promise.resolve();

  /** One after the other, so that nothing happens between an append and its entry on the tape. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const mine = turn.then(act);
    turn = mine.catch(() => undefined);
    return mine;
  }

  async function applyNow(units: readonly Unit[]): Promise<number> {
    for (const { subject, of = subject, expected } of units.flatMap(({ facts }) => facts)) {
      const stands = (await log.last(of))?.position ?? 0;
      if (stands !== expected) throw new Conflict(`${of} stands at ${stands}, not at ${expected}`);
    }
    let whole = 0;
    for (const unit of units) {
      const first = await log.append(unit.facts);
      whole ||= first;
      record(unit, first);
    }
    return whole;
  }

  function record(unit: Unit, first: number): void {
    const timeMs = now();
    const end = first + unit.facts.length - 1;
    const facts = unit.facts.map(({ subject, body }, index) => ({
      subject,
      body,
      timeMs,
      position: first + index,
      groupEnd: end,
    }));
    const group = { unit, first, end, timeMs, facts };
    for (const fact of facts) groups.set(fact.position, group);
    position = end;
    for (const listener of listeners) listener(group);
  }

  return {
    epoch: log.epoch,
    get position() {
      return position;
    },
    apply: (units) => inTurn(() => applyNow(units)),
    unitAt: (at) => groups.get(at),
    last: (subject) => inTurn(() => log.last(subject)),
    snapshot: (...asked) => inTurn(() => log.snapshot(...asked)),
    end: () => inTurn(() => log.end()),
    lastGiven: () => inTurn(() => log.lastGiven()),
    feed: log.feed,
    forget: () => inTurn(async () => log.forget(now())),
    listen: (listener) => void listeners.push(listener),
  };
}

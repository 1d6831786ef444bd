// A wall: between an owner and whom it blocks, when it stood, what was written on either side of it, and who saw through it.
// In: writes and blocks as they are sent and answered, and whatever the blocked party is shown. Out: faults, and how late the last was shown. Never: a guess; what was under way in either moment is allowed.

/** A change of one property; no two of a wall have the same number. */
export interface Write {
  readonly name: string;
  /** Undefined: it takes the property away. */
  readonly n: number | undefined;
  readonly sentMs: number;
  /** When the next change of the property had been acknowledged. */
  replacedMs: number;
}

interface Standing {
  readonly how: string;
  readonly sentMs: number;
  /** When the block was answered. */
  readonly fromMs: number;
  /** When the request that lifted it was sent. */
  untilMs: number;
}

/** What was accepted before may arrive for so long. */
const graceMs = 1_000;

export class Wall {
  readonly wrong: string[] = [];
  /** How long after the answer something was shown that had been accepted before. */
  readonly lateMs: number[] = [];
  /** The last acknowledged change of each property. */
  readonly last = new Map<string, Write>();
  shown = 0;
  /** What was written last. */
  newest = "";
  readonly #writes = new Map<number, Write>();
  readonly #ackedMs = new Map<string, number>();
  readonly #standing: Standing[] = [];
  #numbers = 0;

  /** Now it is sent. */
  write(name: string, sets: "set" | "removal"): Write {
    const n = sets === "set" ? ++this.#numbers : undefined;
    const write = { name, n, sentMs: performance.now(), replacedMs: Number.POSITIVE_INFINITY };
    if (n !== undefined) this.#writes.set(n, write);
    this.newest = name;
    this.#ackedMs.set(name, Number.POSITIVE_INFINITY);
    return write;
  }

  /** Now it is acknowledged. */
  acknowledged(write: Write): void {
    const before = this.last.get(write.name);
    if (before) before.replacedMs = performance.now();
    this.#ackedMs.set(write.name, performance.now());
    this.last.set(write.name, write);
  }

  /** Now the block that was sent at this time is answered. */
  rises(how: string, sentMs: number): void {
    this.#standing.push({ how, sentMs, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY });
  }

  /** Now the request that lifts it is sent. */
  falls(): void {
    const standing = this.#standing.at(-1);
    if (standing) standing.untilMs = performance.now();
  }

  /** Its last value may lie behind the wall. */
  hides(name: string): boolean {
    const { sentMs = 0 } = this.#standing.at(-1) ?? {};
    return (this.#ackedMs.get(name) ?? 0) >= sentMs;
  }

  /** Now the blocked party is shown this value. */
  shows(name: string, n: number, where: string): void {
    this.shown++;
    const atMs = performance.now();
    const write = this.#writes.get(n);
    if (write?.name !== name) return void this.wrong.push(`${where}: ${name} ${n} was never written`);
    const behind = this.#at(write.sentMs);
    const now = this.#at(atMs);
    const what = `${where}: ${name} ${n}`;
    if (behind !== undefined && behind === now) {
      const sinceMs = Math.round(write.sentMs - now.fromMs);
      this.wrong.push(`${what}, sent ${sinceMs} ms after the answer to ${now.how}, is shown`);
    } else if (behind !== undefined && write.replacedMs < behind.untilMs) {
      this.wrong.push(`${what}, written and replaced behind ${behind.how}, is shown afterwards`);
    } else if (now !== undefined) {
      const lateMs = atMs - now.fromMs;
      this.lateMs.push(lateMs);
      if (lateMs > graceMs)
        this.wrong.push(`${what} is shown ${Math.round(lateMs)} ms after the answer to ${now.how}`);
    }
  }

  #at(timeMs: number): Standing | undefined {
    return this.#standing.findLast(({ fromMs, untilMs }) => fromMs <= timeMs && timeMs < untilMs);
  }
}

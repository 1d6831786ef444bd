// Progress: how far a reader was told of what must not be skipped, and how far it has taken that.
// In: positions that it is told, and how often it has taken all that it was owed. Out: where to go on. Never: a position that it was told of and did not take, once what it was owed is dropped.

export class Progress {
  #told: number;
  #taken: number;
  #takes = 0;

  /** @param from up to here it is owed nothing */
  constructor(from: number) {
    this.#told = from;
    this.#taken = from;
  }

  get told(): number {
    return this.#told;
  }

  /** It is told what lies at this position, and everything before it. */
  tell(position: number, takes: number): void {
    this.#settle(takes);
    // Whoever was owed nothing at all is owed what comes from now on.
    if (this.#taken === Number.POSITIVE_INFINITY) this.#taken = this.#told = position;
    else this.#told = Math.max(this.#told, position);
  }

  /** What waits for it was dropped. */
  back(takes: number): void {
    this.#settle(takes);
    this.#told = this.#taken;
  }

  #settle(takes: number): void {
    if (takes > this.#takes) this.#taken = this.#told;
    this.#takes = takes;
  }
}

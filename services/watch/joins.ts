// Joins: whatever of a stream is still to be brought in: watches that take their snapshots, an inbox that reads what waits.
// In: those that wait their turn, and when nothing waits for the reader. Out: each one's attempt, a few at a time, again where the store did not answer. Never: the next one before the reader has taken what it was owed.

/** What takes its turn. */
export interface Joining {
  stage: "waiting" | "joining" | "live" | "ended";
  /** @returns which attempt this is */
  begin(): number;
  /** Whether that attempt is still the one that counts. */
  isAt(attempt: number): boolean;
}

export interface JoinsOwner<T> {
  /** Of what waits for its reader. */
  readonly waiting: number;
  bring(next: T, attempt: number): Promise<void>;
  /** Told when there may be something to take. */
  readonly reader: { onReady(): void };
}

/** Brought in at a time by one stream. */
const atOnce = 8;
const retryDelayMs = 500;

export class Joins<T extends Joining> implements Disposable {
  readonly #owner: JoinsOwner<T>;
  #waiting: T[] = [];
  #joining = 0;
  /** Until the first are in. */
  #opened: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
  #isOpen = false;
  #ended = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(owner: JoinsOwner<T>) {
    this.#owner = owner;
    // Nobody may be waiting for it.
    this.#opened?.promise.catch(() => undefined);
  }

  /** Resolves when the first are in. @throws LogUnavailable */
  async open(): Promise<void> {
    this.pump();
    if (this.#joining === 0) this.#opened?.resolve();
    await this.#opened?.promise;
    this.#isOpen = true;
    this.#opened = undefined;
  }

  push(next: T): void {
    this.#waiting.push(next);
  }

  withdraw(one: T): void {
    this.#waiting = this.#waiting.filter((other) => other !== one);
  }

  clear(): void {
    this.#waiting = [];
  }

  pump(): void {
    if (this.#ended || this.#owner.waiting > 0) return;
    while (this.#joining < atOnce) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#joining++;
      void this.#start(next);
    }
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#opened?.resolve();
  }

  async #start(next: T): Promise<void> {
    const attempt = next.begin();
    try {
      await this.#owner.bring(next, attempt);
    } catch (error) {
      if (!this.#isOpen) this.#opened?.reject(error);
      else if (next.isAt(attempt)) this.#tryAgain(next);
    }
    this.#joining--;
    if (this.#joining === 0) this.#opened?.resolve();
    if (!this.#ended && this.#isOpen) this.#owner.reader.onReady();
  }

  /** The store does not answer; it will. */
  #tryAgain(next: T): void {
    next.stage = "waiting";
    this.#waiting.push(next);
    this.#retry = setTimeout(() => this.#owner.reader.onReady(), retryDelayMs);
  }
}

// Line: things in the order in which they came, each of which may leave from wherever it stands.
// In: things. Out: the one in front. Never: a search; a Set that lost its first members again and again would look for the next one ever longer.

interface Spot<T> {
  readonly thing: T;
  ahead: Spot<T> | undefined;
  behind: Spot<T> | undefined;
}

export class Line<T> {
  #front: Spot<T> | undefined;
  #back: Spot<T> | undefined;

  get front(): T | undefined {
    return this.#front?.thing;
  }

  /** @returns what takes it out again, to be called once */
  join(thing: T): () => void {
    const spot: Spot<T> = { thing, ahead: this.#back, behind: undefined };
    if (spot.ahead) spot.ahead.behind = spot;
    else this.#front = spot;
    this.#back = spot;
    return () => {
      if (spot.ahead) spot.ahead.behind = spot.behind;
      else this.#front = spot.behind;
      if (spot.behind) spot.behind.ahead = spot.ahead;
      else this.#back = spot.ahead;
    };
  }
}

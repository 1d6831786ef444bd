// Deadlines: a queue of things by the time at which they are due.
// In: a time and a thing. Out: the things that are due, earliest first. Never: a search; whoever takes a thing checks if it still counts.

interface Due<T> {
  readonly atMs: number;
  readonly thing: T;
}

/** A binary heap: adding and taking cost the logarithm of its size. */
export class Deadlines<T> {
  readonly #heap: Due<T>[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the earliest thing is due, or undefined when there is none. */
  next(): number | undefined {
    return this.#heap[0]?.atMs;
  }

  add(atMs: number, thing: T): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push({ atMs, thing });
    while (at > 0) {
      const above = (at - 1) >> 1;
      if ((heap[above] as Due<T>).atMs <= atMs) break;
      this.#swap(at, above);
      at = above;
    }
  }

  /** The earliest thing, if it is due by now. */
  take(nowMs: number): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    const last = heap.pop() as Due<T>;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first.thing;
  }

  #sink(): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (left < heap.length && (heap[left] as Due<T>).atMs < (heap[least] as Due<T>).atMs) least = left;
      if (right < heap.length && (heap[right] as Due<T>).atMs < (heap[least] as Due<T>).atMs) least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b] as Due<T>, heap[a] as Due<T>];
  }
}

// Versioned map: each change of one entry makes the next version, and the versions before it stay what they were.
// In: a version and an entry. Out: the next version. Never: a copy, however many entries there are and whoever holds a version.
//
// All versions share one table, which says what holds in the newest. An earlier one knows the version that followed it, and what
// it had itself where that one differs: the older it is, the longer is the way to an answer. Entries come in no promised order.

/** What can be asked of a version, and of any other map by names. */
export interface ByName<T> extends Iterable<readonly [name: string, one: T]> {
  readonly size: number;
  get(name: string): T | undefined;
  has(name: string): boolean;
}

interface Step<T> {
  readonly name: string;
  readonly had: T | undefined;
  readonly to: VersionedMap<T>;
}

export class VersionedMap<T> implements ByName<T> {
  readonly size: number;
  readonly #table: Map<string, T>;
  #next: Step<T> | undefined;

  constructor(table = new Map<string, T>()) {
    this.#table = table;
    this.size = table.size;
  }

  /** The next version, of which there is one at most. @param one undefined: without an entry of this name */
  with(name: string, one: T | undefined): VersionedMap<T> {
    if (this.#next) throw new Error("only the newest version can be followed by another");
    // What has no entry needs no table: any number may start from the same empty one.
    const table = this.size === 0 ? new Map<string, T>() : this.#table;
    const had = table.get(name);
    if (one === undefined) table.delete(name);
    else table.set(name, one);
    const to = new VersionedMap(table);
    if (this.size > 0) this.#next = { name, had, to };
    return to;
  }

  get(name: string): T | undefined {
    for (let step = this.#next; step; step = step.to.#next) if (step.name === name) return step.had;
    return this.#table.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  *[Symbol.iterator](): Generator<[name: string, one: T], undefined> {
    const own = new Map<string, T | undefined>();
    for (let step = this.#next; step; step = step.to.#next) {
      if (!own.has(step.name)) own.set(step.name, step.had);
    }
    for (const one of this.#table) if (!own.has(one[0])) yield one;
    for (const [name, had] of own) if (had !== undefined) yield [name, had];
  }
}

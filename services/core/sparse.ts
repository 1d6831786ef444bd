// Sparse collections: maps and sets that take next to no room while they are empty.
// In: the same as for Map and Set. Out: the same. Never: a table for nothing, which thousands of quiet streams would each hold several of.

const nothing: ReadonlyMap<never, never> = new Map<never, never>();

export class SparseMap<K, V> {
  #map: Map<K, V> | undefined;

  get size(): number {
    return this.#map?.size ?? 0;
  }

  get(key: K): V | undefined {
    return this.#map?.get(key);
  }

  has(key: K): boolean {
    return this.#map?.has(key) ?? false;
  }

  set(key: K, value: V): this {
    this.#map ??= new Map();
    this.#map.set(key, value);
    return this;
  }

  delete(key: K): boolean {
    const isDeleted = this.#map?.delete(key) ?? false;
    if (this.#map?.size === 0) this.#map = undefined;
    return isDeleted;
  }

  clear(): void {
    this.#map = undefined;
  }

  keys(): IterableIterator<K> {
    return this.#here.keys();
  }

  values(): IterableIterator<V> {
    return this.#here.values();
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.#here.entries();
  }

  get #here(): ReadonlyMap<K, V> {
    return this.#map ?? (nothing as ReadonlyMap<K, V>);
  }
}

export class SparseSet<T> {
  readonly #map = new SparseMap<T, true>();

  get size(): number {
    return this.#map.size;
  }

  has(one: T): boolean {
    return this.#map.has(one);
  }

  add(one: T): this {
    this.#map.set(one, true);
    return this;
  }

  delete(one: T): boolean {
    return this.#map.delete(one);
  }

  clear(): void {
    this.#map.clear();
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#map.keys();
  }
}

// Multi-map: things by a key that many of them may share.
// In: keys and things. Out: the things of a key, in the order in which they came. Never: a set for a key that has but one, as most have.

export class MultiMap {
  readonly #things = new Map<string, string | Set<string>>();

  add(key: string, thing: string): void {
    const present = this.#things.get(key);
    if (present === undefined) this.#things.set(key, thing);
    else if (typeof present !== "string") present.add(thing);
    else if (present !== thing) this.#things.set(key, new Set([present, thing]));
  }

  delete(key: string, thing: string): void {
    const present = this.#things.get(key);
    if (typeof present === "string") {
      if (present === thing) this.#things.delete(key);
    } else if (present?.delete(thing) && present.size === 0) this.#things.delete(key);
  }

  /** All things of a key, which has none from now on. */
  take(key: string): readonly string[] {
    const things = this.get(key);
    this.#things.delete(key);
    return things;
  }

  get(key: string): readonly string[] {
    const present = this.#things.get(key) ?? [];
    return typeof present === "string" ? [present] : [...present];
  }
}

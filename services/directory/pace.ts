// Pace: a pause between two things, as long as nobody waits for the next one.
// In: how long, whoever is in a hurry. Out: when to go on. Never: a pause for somebody who waits.

export class Pace {
  readonly #ms: number;
  #hurry: () => void = () => undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  async pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hurry = resolve;
    const timer = setTimeout(resolve, this.#ms);
    await promise;
    clearTimeout(timer);
  }

  hurry(): void {
    this.#hurry();
  }
}

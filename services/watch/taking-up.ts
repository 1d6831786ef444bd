// Taking up: what comes to a stream while it is open, and depends on what the store has yet to say.
// In: ways to take it up. Out: the same, tried until it is done or wanted no more. Never: a cursor past it meanwhile; whoever is cut off comes back as from before.
import type { Soon } from "../core/soon.ts";
import type { Stream } from "./stream.ts";

const retryMs = 500;

export class TakingUp {
  readonly #stream: Pick<Stream, "floors" | "start">;

  constructor(stream: Pick<Stream, "floors" | "start">) {
    this.#stream = stream;
  }

  /** @param isStill whether it is wanted, asked before each further try */
  begin(act: () => Soon<void>, isStill: () => boolean): void {
    const { floors, start } = this.#stream;
    const tried = attempt(act);
    if (tried === undefined) return;
    floors.set(tried, start);
    floors.hold();
    const again = (): void => {
      if (isStill()) this.begin(act, isStill);
      leave();
    };
    const leave = (): void => {
      floors.delete(tried);
      floors.hold();
    };
    tried.then(leave, () => void setTimeout(again, retryMs).unref());
  }
}

function attempt(act: () => Soon<void>): Promise<void> | undefined {
  try {
    return act() ?? undefined;
  } catch (error) {
    return Promise.reject(error);
  }
}

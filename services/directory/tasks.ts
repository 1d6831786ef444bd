// Tasks: things to do aside, a few at a time, each key once.
// In: keys and what is to be done. Out: it is done, again where it was added meanwhile, later where it failed. Never: two of one key at a time, or one after the end.

export interface Tasks extends AsyncDisposable {
  /** Of what waits under a key the last that was added is done. */
  add(key: string, act: () => Promise<void>): void;
  readonly isOpen: boolean;
  /** How many wait. */
  readonly size: number;
}

export interface TaskDeps {
  readonly onTrouble: (message: string) => void;
  readonly retryMs: number;
}

const atOnce = 4;

export function openTasks({ onTrouble, retryMs }: TaskDeps): Tasks {
  const waiting = new Map<string, () => Promise<void>>();
  const running = new Map<string, Promise<void>>();
  const retries = new Set<NodeJS.Timeout>();
  let isOpen = true;

  function add(key: string, act: () => Promise<void>): void {
    if (!isOpen) return;
    waiting.set(key, act);
    pump();
  }

  function pump(): void {
    if (running.size >= atOnce) return;
    for (const [key, act] of waiting) {
      if (running.has(key)) continue;
      waiting.delete(key);
      running.set(key, run(key, act));
      if (running.size >= atOnce) return;
    }
  }

  async function run(key: string, act: () => Promise<void>): Promise<void> {
    try {
      // Whatever came in one turn of the loop is done together.
      await Promise.resolve();
      await act();
    } catch (error) {
      if (isOpen) later(key, act, error as Error);
    }
    running.delete(key);
    if (isOpen) pump();
  }

  function later(key: string, act: () => Promise<void>, error: Error): void {
    onTrouble(`something is done later: ${error.message}`);
    const timer = setTimeout(() => {
      retries.delete(timer);
      if (!waiting.has(key)) add(key, act);
    }, retryMs);
    timer.unref();
    retries.add(timer);
  }

  return {
    add,
    get isOpen() {
      return isOpen;
    },
    get size() {
      return waiting.size;
    },
    async [Symbol.asyncDispose]() {
      isOpen = false;
      waiting.clear();
      for (const timer of retries) clearTimeout(timer);
      await Promise.all(running.values());
    },
  };
}

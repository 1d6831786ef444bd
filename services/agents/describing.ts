// Describing: what modules of agents declare, and whether a config fits one, told by threads that handle nothing.
// In: files, configs. Out: definitions and problems, or why a module cannot be used. Never: a module loaded into the broker itself.
import type { Json } from "../../agents/port.ts";
import { nextWord } from "./thread.ts";
import type { Threads } from "./threads.ts";
import type { Broken, ConfigProblem, Definition } from "./words.ts";

/** @throws Error where the module cannot be loaded, or is no agent */
export async function describeModule(file: string, threads: Threads): Promise<Definition> {
  using describer = openDescriber(threads);
  return await describer.describe(file);
}

/** What each module says of itself, or why it cannot be used. They share a thread as long as none of them breaks it, which is much cheaper. */
export async function* describeModules(
  files: readonly string[],
  threads: Threads,
): AsyncGenerator<{ readonly file: string; readonly definition: Definition } | Broken> {
  using stack = new DisposableStack();
  let shared: Describer | undefined;
  for (const file of files) {
    shared ??= stack.use(openDescriber(threads));
    try {
      yield { file, definition: await shared.describe(file) };
    } catch {
      // It may have been the fault of one before it.
      shared = undefined;
      yield await describeModule(file, threads).then(
        (definition) => ({ file, definition }),
        (error: Error) => ({ file, reason: error.message }),
      );
    }
  }
}

interface Describer extends Disposable {
  describe(file: string): Promise<Definition>;
}

function openDescriber(threads: Threads): Describer {
  const line = threads.start({ is: "describe" }, true);
  return {
    async describe(file) {
      line.say({ is: "load", file });
      const word = await nextWord(line, threads.limits);
      if (word.is !== "ready") throw new Error("it said something else");
      return word.definition;
    },
    [Symbol.dispose]: () => line[Symbol.dispose](),
  };
}

/** A config with its defaults, and what does not fit. @throws Error where the module cannot be loaded */
export async function checkConfig(
  file: string,
  config: Json,
  threads: Threads,
): Promise<{ readonly problems: readonly ConfigProblem[]; readonly config: Json }> {
  return await threads.turns.run(async () => {
    using line = threads.start({ is: "check", file, config }, true);
    const word = await nextWord(line, threads.limits);
    if (word.is !== "checked") throw new Error("it said something else");
    return word;
  });
}

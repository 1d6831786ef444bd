// Describing: what modules of agents declare, and whether a config fits one, told by threads that handle nothing.
// In: files, configs. Out: definitions and problems, or why a module cannot be used. Never: a module loaded into the broker itself.
import type { Json } from "../../agents/port.ts";
import { nextWord, startWorker, type ThreadLimits } from "./thread.ts";
import type { Broken, ConfigProblem, Definition, ToThread } from "./words.ts";

/** @throws Error where the module cannot be loaded, or is no agent */
export async function describeModule(file: string, limits: ThreadLimits): Promise<Definition> {
  await using describer = openDescriber(limits);
  return await describer.describe(file);
}

/** What each module says of itself, or why it cannot be used. They share a thread as long as none of them breaks it, which is much cheaper. */
export async function* describeModules(
  files: readonly string[],
  limits: ThreadLimits,
): AsyncGenerator<{ readonly file: string; readonly definition: Definition } | Broken> {
  await using stack = new AsyncDisposableStack();
  let shared: Describer | undefined;
  for (const file of files) {
    shared ??= stack.use(openDescriber(limits));
    try {
      yield { file, definition: await shared.describe(file) };
    } catch {
      // It may have been the fault of one before it.
      shared = undefined;
      yield await describeModule(file, limits).then(
        (definition) => ({ file, definition }),
        (error: Error) => ({ file, reason: error.message }),
      );
    }
  }
}

interface Describer extends AsyncDisposable {
  describe(file: string): Promise<Definition>;
}

function openDescriber(limits: ThreadLimits): Describer {
  const worker = startWorker({ is: "describe" }, limits);
  return {
    async describe(file) {
      worker.postMessage({ is: "load", file } satisfies ToThread);
      const word = await nextWord(worker, limits);
      if (word.is !== "ready") throw new Error("it said something else");
      return word.definition;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

/** A config with its defaults, and what does not fit. @throws Error where the module cannot be loaded */
export async function checkConfig(
  file: string,
  config: Json,
  limits: ThreadLimits,
): Promise<{ readonly problems: readonly ConfigProblem[]; readonly config: Json }> {
  const worker = startWorker({ is: "check", file, config }, limits);
  try {
    const word = await nextWord(worker, limits);
    if (word.is !== "checked") throw new Error("it said something else");
    return word;
  } finally {
    await worker.terminate();
  }
}

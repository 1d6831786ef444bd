// Verbs: what each one is to the command line, and what it is given.
// In: how a verb is typed. Out: the verb with its flags read. Never: what the verb does.
import type { Rest } from "../../agents/outside/rest.ts";
import { UsageError } from "./failure.ts";

export interface Given {
  /** What was typed in the places that the verb names; missing ones are undefined. */
  readonly args: readonly string[];
  /** Flags by their long names. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** The broker that --url names. */
  readonly rest: Rest;
  readonly isJson: boolean;
  /** One line to stdout. */
  print(line: string): void;
  /** One line to stderr: what is no part of the answer. */
  tell(line: string): void;
  /** The answer: as JSON if it is asked for, in these words otherwise. */
  answer(json: unknown, words: string | readonly string[]): void;
  /** Ends with Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Verb {
  /** As it is typed: `set <name> <json>`; `<a>` must be there, `[a]` may. */
  readonly typed: string;
  readonly summary: string;
  /** What --help says besides. */
  readonly more?: string;
  /** Flags of its own: as typed, and what they do. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Asks no broker: has no --url and no --token. */
  readonly isLocal?: true;
  run(given: Given): Promise<void>;
}

/** The address of whoever's token it is. @throws RestError */
export async function ownAddress(rest: Rest): Promise<string> {
  return ((await rest.ask("GET", "/v1/me")) as { address: string }).address;
}

/** @throws UsageError that says how JSON is typed into a shell */
export function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(
      `${what} is not JSON: ${text.slice(0, 60)}. Put single quotes around it: '{"status":"online"}', '"a text"', 5.`,
    );
  }
}

/** @throws UsageError */
export function numberOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+(\.\d+)?$/.test(text))
    throw new UsageError(`--${flag} takes a number, and ${text.slice(0, 40)} is none.`);
  return Number(text);
}

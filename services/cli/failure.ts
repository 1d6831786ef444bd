// Failures: what went wrong with a command, as one line and an exit code.
// In: anything that was thrown. Out: what to print, and 1 (refused), 2 (typed wrong) or 3 (no broker that serves). Never: a stack trace for what a person or a broker did.
import { RestError } from "../../agents/outside/rest.ts";
import { refusals } from "../core/refusals.ts";

/** Typed wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Typed well, and cannot be done: exit code 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

export interface Failure {
  readonly line: string;
  readonly code: string;
  readonly exitCode: number;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return { line: error.message, code: "usage", exitCode: 2 };
  if (error instanceof CommandError) return { line: error.message, code: "failed", exitCode: 1 };
  // Known by its name, since most verbs have no use for what defines agents.
  if ((error as Error).name === "AgentError") {
    return { line: sentence((error as Error).message), code: "agent", exitCode: 1 };
  }
  if (!(error instanceof RestError)) {
    const { stack, message = String(error) } = error as Error;
    return { line: stack ?? message, code: "internal", exitCode: 1 };
  }
  const { code } = error;
  return { line: lineOf(error), code, exitCode: error.isPassing && error.status !== 429 ? 3 : 1 };
}

/** What the broker refused and why, and what can be done. */
function lineOf({ code, title, message, fields, status }: RestError): string {
  if (status === 0) return `${message} Is it running (tidings start), and is --url or TIDINGS_URL right?`;
  const why = fields.map(({ pointer, detail }) => `${pointer || "the value"} ${detail}`).join("; ");
  const said = [title, message === title ? "" : message, why].filter((part) => part !== "").map(sentence);
  const remedy =
    remedies[code] ?? (refusals as Partial<Record<string, { remedy: string }>>)[code]?.remedy ?? "";
  return [...said, remedy, `(${code})`].filter((part) => part !== "").join(" ");
}

/** Where the command has better advice than the contract. */
const remedies: Partial<Record<string, string>> = {
  unauthenticated: "Give a token with --token or TIDINGS_TOKEN; tidings register <handle> makes an account.",
};

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

// The thread that keeps the projection and searches it: SQLite waits for the disk, and users' expressions take their time.
// In: requests from thread.ts, one at a time. Out: an answer to each. Never: a look at the log, or at what owners have decided.

import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { forgetDatabase, openDatabase } from "./database.ts";
import { type Finder, type Found, openFinder, type Question } from "./finder.ts";
import { type Change, openProjection, type Projection, type Standing } from "./projection.ts";
import type { Where } from "./where.ts";

export type Request =
  | { readonly is: "apply"; readonly changes: readonly Change[]; readonly standing: Standing }
  | { readonly is: "find"; readonly question: Question }
  /** Begin anew, empty. */
  | { readonly is: "clear" };

export type Reply =
  | { readonly is: "ready"; readonly standing: Standing }
  | { readonly is: "applied"; readonly left: readonly Change[] }
  | { readonly is: "found"; readonly found: Found }
  | { readonly is: "cleared" }
  | { readonly is: "failed"; readonly message: string; readonly isDamaged: boolean };

assert(parentPort !== null, "directory-worker.ts runs as a worker of thread.ts only");
const port = parentPort;

/** Loaded when somebody first comes with an expression: it takes more than all the rest. */
let expressions: typeof import("./where.ts") | undefined;
let { projection, find, file } = open((workerData as { file: string }).file);

function open(wanted: string): { projection: Projection; find: Finder; file: string } {
  const opened = openDatabase(wanted);
  let projected: Projection;
  try {
    projected = openProjection(opened.database);
  } catch {
    // Its tables are not ours, though the file is sound: the log has it all.
    opened.database.close();
    forgetDatabase(opened.file);
    return open(opened.file);
  }
  return { projection: projected, find: openFinder(opened.database, compile), file: opened.file };
}

function compile(text: string): Where {
  assert(expressions !== undefined, "expressions are loaded before they are read");
  return expressions.knownWhere(text);
}

function clear(): void {
  projection.database.close();
  forgetDatabase(file);
  ({ projection, find, file } = open(file));
}

/** How long what was applied may wait to be committed: a crash costs no more than that, and it is read again from the log. */
const commitMs = 1_000;
let isCommitDue = false;

function commit(): void {
  isCommitDue = false;
  projection.commit();
}

function answer(request: Request): Reply {
  switch (request.is) {
    case "apply": {
      const left = projection.apply(request.changes, request.standing);
      // Whoever brings nothing wants to know it safe.
      if (request.changes.length === 0) projection.commit();
      else if (!isCommitDue) {
        isCommitDue = true;
        setTimeout(commit, commitMs);
      }
      return { is: "applied", left };
    }
    case "find":
      return { is: "found", found: find(request.question) };
    case "clear":
      clear();
      return { is: "cleared" };
  }
}

/** SQLITE_CORRUPT and SQLITE_NOTADB; their extended codes have them as the last byte. */
const damages = [11, 26];

function failed(error: unknown): Reply {
  const { message, errcode = 0 } = error as Error & { errcode?: number };
  return { is: "failed", message, isDamaged: damages.includes(errcode & 0xff) };
}

async function handle(request: Request): Promise<void> {
  let reply: Reply;
  try {
    if (request.is === "find" && request.question.text.where !== undefined) {
      expressions ??= await import("./where.ts");
    }
    reply = answer(request);
  } catch (error) {
    reply = failed(error);
  }
  port.postMessage(reply);
}

/** Answers come in the order of the requests. */
let last = Promise.resolve();
port.on("message", (request: Request) => {
  last = last.then(() => handle(request));
});

port.postMessage({ is: "ready", standing: projection.standing } satisfies Reply);

// One broker a data folder: a lock of the operating system that dies with the process, however it ends.
// In: the data folder. Out: the lock, held until it is disposed of. Never: a stale lock after kill -9.

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { StartError } from "../core/start-error.ts";

/** Creates the folder, readable for its owner alone, if it is not there. */
export function createDataFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(
      `the data folder ${dir} cannot be created (${codeOf(error)}); set TIDINGS_DATA to another`,
    );
  }
}

/**
 * Holds `<dir>/lock.db` while this process lives.
 * @throws StartError if another process, or this one, holds it already.
 */
export function lockData(dir: string): Disposable {
  createDataFolder(dir);
  const pidPath = join(dir, "lock.pid");
  const database = open(dir, pidPath);
  // Only for the message to the one who comes second; the lock itself is the database's.
  writeFileSync(pidPath, `${process.pid}\n`, { mode: 0o600 });
  let held = true;
  return {
    [Symbol.dispose]() {
      if (!held) return;
      held = false;
      rmSync(pidPath, { force: true });
      database.close();
    },
  };
}

function open(dir: string, pidPath: string): DatabaseSync {
  const path = join(dir, "lock.db");
  let database: DatabaseSync | undefined;
  try {
    database = openQuietly(path);
    // SQLite takes fcntl (POSIX) or LockFileEx (Windows) locks: the kernel drops them when the process ends.
    database.exec("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE");
    chmodSync(path, 0o600);
    return database;
  } catch (error) {
    database?.close();
    if ((error as { errcode?: number }).errcode === 5) {
      throw new StartError(
        `another broker (pid ${readPid(pidPath)}) uses ${dir}; stop it, or set TIDINGS_DATA to another folder`,
      );
    }
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new StartError(
      `the data folder ${dir} cannot be locked (${reason}); it must be writable for this user`,
    );
  }
}

/** node:sqlite may announce itself as experimental, which tells an operator nothing. */
function openQuietly(path: string): DatabaseSync {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).includes("SQLite is an experimental feature")) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    const sqlite = createRequire(import.meta.url)("node:sqlite") as typeof import("node:sqlite");
    return new sqlite.DatabaseSync(path, { timeout: 0 });
  } finally {
    process.emitWarning = emitWarning;
  }
}

function readPid(path: string): string {
  try {
    return readFileSync(path, "utf8").trim() || "unknown";
  } catch {
    // The other broker has locked but not yet written its pid, or the file belongs to another user.
    return "unknown";
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

// The database file of the directory: opened, looked over, begun anew where it cannot be read.
// In: the name of a file. Out: a database with our tables. Never: an error because of what somebody left in the file.
import { chmodSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

const version = 1;
const schema = `
  CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), version, epoch, position, term, saved);
  CREATE TABLE node (id INTEGER PRIMARY KEY, address TEXT NOT NULL, owner INTEGER NOT NULL, there INTEGER NOT NULL);
  CREATE INDEX node_owner ON node (owner, id);
  CREATE TABLE prop (
    node INTEGER NOT NULL, name TEXT NOT NULL, visibility TEXT NOT NULL, open INTEGER NOT NULL, words TEXT NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (node, name)) WITHOUT ROWID;
  CREATE TABLE grants (owner INTEGER PRIMARY KEY, grants TEXT NOT NULL);
  CREATE TABLE scalar (place INTEGER NOT NULL, node INTEGER NOT NULL, value, PRIMARY KEY (place, node)) WITHOUT ROWID;
  CREATE INDEX scalar_value ON scalar (place, value, node) WHERE value IS NOT NULL;
  CREATE VIRTUAL TABLE word USING fts5(
    words, content='', contentless_delete=1, detail=none, columnsize=1, tokenize='ascii');
`;

const inMemory = ":memory:";

export interface Opened {
  readonly database: DatabaseSync;
  /** Where it lies. */
  readonly file: string;
}

/** Opens what is there, or begins anew where it cannot be read; in memory, where another broker has the file. */
export function openDatabase(file: string): Opened {
  if (file === inMemory) return { database: begun(new DatabaseSync(inMemory)), file };
  try {
    return { database: checked(opened(file)), file };
  } catch (error) {
    if (isBusy(error)) return openDatabase(inMemory);
    // Whatever was wrong with it: the log has it all.
    forgetDatabase(file);
    return { database: begun(opened(file)), file };
  }
}

/** SQLITE_BUSY; extended codes have it as the last byte. */
function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === 5;
}

export function forgetDatabase(file: string): void {
  if (file === inMemory) return;
  for (const ending of ["", "-wal", "-shm", "-journal"]) rmSync(file + ending, { force: true });
}

function opened(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // What is private lies in it too. Its companions get the same mode.
    chmodSync(file, 0o600);
    // A crash may take the last changes with it, position and all, but never leaves half of one.
    database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -64000; PRAGMA wal_autocheckpoint = 4000",
    );
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function checked(database: DatabaseSync): DatabaseSync {
  try {
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get();
    if (tables?.n === 0) return begun(database);
    const { quick_check: found } = database.prepare("PRAGMA quick_check(1)").get() ?? {};
    if (found !== "ok") throw new Error(`the file is damaged: ${found}`);
    if (database.prepare("SELECT version FROM state").get()?.version !== version)
      throw new Error("the file is of another version");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function begun(database: DatabaseSync): DatabaseSync {
  database.exec(`BEGIN; ${schema} INSERT INTO state VALUES (1, ${version}, '', 0, '', 0); COMMIT`);
  return database;
}

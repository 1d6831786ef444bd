// The local store: what an agent of a program of its own must not forget, in one SQLite file.
// In: steps, state, timers, runs, a cursor. Out: the same after a kill at any moment. Never: a step that is said to be kept before it is on disk.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite";
import { type Json, PortError } from "../port.ts";

export interface Timer {
  readonly name: string;
  /** Of the event that it becomes; the same for the same call of the same run. */
  readonly id: string;
  readonly dueMs: number;
  readonly data: Json;
  /** Of the run that set it. */
  readonly hops: number;
}

export interface DeadLetter {
  readonly run: string;
  readonly event: Json;
  readonly error: string;
  readonly attempts: number;
  readonly at: string;
}

/** Whether the timer of this id has fired, and its run has not ended. */
export type IsFiring = (id: string) => boolean;

export interface LocalStore extends Disposable {
  /** Of what is kept beside: `cursor`, `account`, ids of subscriptions. */
  fact(key: string): string | undefined;
  keepFact(key: string, value: string | undefined): Promise<void>;
  /** Resolves at once; on disk within a moment, and never before what was kept earlier. */
  keepCursor(cursor: string): void;
  state(key: string): Json | undefined;
  /** @throws PortError `state-full` */
  keepState(key: string, value: Json | undefined): Promise<void>;
  step(run: string, name: string): { readonly value: Json } | undefined;
  keepStep(run: string, name: string, value: Json): Promise<void>;
  /** Their runs will not come again. */
  forgetSteps(runs: readonly string[]): void;
  /** Those that are set, and those that fired and whose run has not ended; soonest first. */
  timers(): readonly Timer[];
  /**
   * In place of one of the same name, which stays beside it while its run is on. What was set before, or has ended, is left as it is.
   * @throws PortError `state-full`
   */
  setTimer(timer: Timer, isFiring: IsFiring): Promise<void>;
  cancelTimer(name: string, isFiring: IsFiring): Promise<void>;
  endTimer(id: string): Promise<void>;
  hasEnded(run: string): boolean;
  keepRun(run: string, state: string): void;
  keepDead(letter: DeadLetter): Promise<void>;
  dead(): readonly DeadLetter[];
  forgetDead(run: string): void;
  /** Resolves when all that was kept is on disk. */
  flush(): Promise<void>;
}

const keysMax = 10_000;
const valueCharactersMax = 256 * 1024;
/** What a stream may tell again: messages that wait, at most this many. */
const runsKept = 20_000;
const lettersKept = 1_000;
/** How long what can be told again waits for others to be written with. */
const laterMs = 20;

const tables = `
  CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS steps (run TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS timers (name TEXT PRIMARY KEY, id TEXT, due INTEGER, data TEXT, hops INTEGER) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS aside (id TEXT PRIMARY KEY, name TEXT, due INTEGER, data TEXT, hops INTEGER) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, id TEXT UNIQUE, state TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS dead (number INTEGER PRIMARY KEY, run TEXT UNIQUE, letter TEXT NOT NULL);
`;

/** @throws Error when the file is in use, or is none of ours */
export function openLocalStore(path: string): LocalStore {
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const db = new DatabaseSync(path);
  // One process at a time: two would handle every event twice.
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  db.exec(tables);

  const prepared = new Map<string, ReturnType<typeof db.prepare>>();
  let open: PromiseWithResolvers<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isSoon = false;

  function statement(sql: string): ReturnType<typeof db.prepare> {
    const known = prepared.get(sql) ?? db.prepare(sql);
    prepared.set(sql, known);
    return known;
  }

  function all(sql: string, ...values: SQLInputValue[]): Record<string, SQLOutputValue>[] {
    return statement(sql).all(...values) as Record<string, SQLOutputValue>[];
  }

  function one(sql: string, ...values: SQLInputValue[]): Record<string, SQLOutputValue> | undefined {
    return statement(sql).get(...values) as Record<string, SQLOutputValue> | undefined;
  }

  /** Takes effect at once, and is on disk when it resolves, together with what others write meanwhile. */
  function write(sql: string, ...values: SQLInputValue[]): Promise<void> {
    const { promise } = begin();
    statement(sql).run(...values);
    if (!isSoon) {
      isSoon = true;
      clearTimeout(timer);
      setImmediate(commit);
    }
    return promise;
  }

  function writeLater(sql: string, ...values: SQLInputValue[]): void {
    // Nobody waits: what fails here is told by the next that does, and is told again after a restart.
    begin().promise.catch(() => undefined);
    statement(sql).run(...values);
    if (!isSoon) timer ??= setTimeout(commit, laterMs);
  }

  function begin(): PromiseWithResolvers<void> {
    if (open === undefined) {
      db.exec("BEGIN IMMEDIATE");
      open = Promise.withResolvers();
    }
    return open;
  }

  function commit(): void {
    const done = open;
    clearTimeout(timer);
    [open, timer, isSoon] = [undefined, undefined, false];
    if (done === undefined) return;
    try {
      db.exec("COMMIT");
      done.resolve();
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      done.reject(error);
    }
  }

  function requireRoom(table: "state" | "timers", key: string, text: string): void {
    if (key.length > 256) throw new PortError("state-full", "A name has at most 256 characters.");
    if (text.length > valueCharactersMax) throw new PortError("state-full", "A value has at most 256 KiB.");
    const { held } = one(`SELECT count(*) AS held FROM ${table}`) as { held: number };
    if (held >= keysMax) throw new PortError("state-full", `An agent keeps at most ${keysMax} of these.`);
  }

  const hasEnded = (run: string): boolean => one("SELECT 1 FROM runs WHERE id = ?", run) !== undefined;

  const timerOfName = (name: string) => one("SELECT id FROM timers WHERE name = ?", name);

  /** Together with what takes its name. */
  function setAside(name: string, isFiring: IsFiring): void {
    const id = timerOfName(name)?.id as string | undefined;
    if (id === undefined || !isFiring(id)) return;
    writeLater("INSERT OR REPLACE INTO aside SELECT id, name, due, data, hops FROM timers WHERE id = ?", id);
  }

  return {
    fact: (key) => one("SELECT value FROM facts WHERE key = ?", key)?.value as string | undefined,
    keepFact: async (key, value) =>
      value === undefined
        ? await write("DELETE FROM facts WHERE key = ?", key)
        : await write("INSERT OR REPLACE INTO facts VALUES (?, ?)", key, value),
    keepCursor: (cursor) => writeLater("INSERT OR REPLACE INTO facts VALUES ('cursor', ?)", cursor),
    state(key) {
      const row = one("SELECT value FROM state WHERE key = ?", key);
      return row && (JSON.parse(row.value as string) as Json);
    },
    async keepState(key, value) {
      if (value === undefined) return await write("DELETE FROM state WHERE key = ?", key);
      const text = JSON.stringify(value);
      requireRoom("state", key, text);
      await write("INSERT OR REPLACE INTO state VALUES (?, ?)", key, text);
    },
    step(run, name) {
      const row = one("SELECT value FROM steps WHERE run = ? AND name = ?", run, name);
      return row && { value: JSON.parse(row.value as string) as Json };
    },
    keepStep: async (run, name, value) =>
      await write("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", run, name, JSON.stringify(value)),
    forgetSteps(runs) {
      for (const run of runs) writeLater("DELETE FROM steps WHERE run = ?", run);
    },
    timers: () =>
      all(
        "SELECT id, name, due, data, hops FROM timers UNION SELECT id, name, due, data, hops FROM aside ORDER BY due",
      ).map(timerOf),
    async setTimer({ name, id, dueMs, data, hops }, isFiring) {
      if (hasEnded(id) || timerOfName(name)?.id === id) return await open?.promise;
      const text = JSON.stringify(data);
      requireRoom("timers", name, text);
      setAside(name, isFiring);
      await write("INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?)", name, id, dueMs, text, hops);
    },
    async cancelTimer(name, isFiring) {
      setAside(name, isFiring);
      await write("DELETE FROM timers WHERE name = ?", name);
    },
    async endTimer(id) {
      writeLater("DELETE FROM aside WHERE id = ?", id);
      await write("DELETE FROM timers WHERE id = ?", id);
    },
    hasEnded,
    keepRun(run, state) {
      writeLater("INSERT OR REPLACE INTO runs (id, state) VALUES (?, ?)", run, state);
      writeLater("DELETE FROM runs WHERE number <= (SELECT max(number) FROM runs) - ?", runsKept);
    },
    async keepDead(letter) {
      writeLater("DELETE FROM dead WHERE number <= (SELECT max(number) FROM dead) - ?", lettersKept - 1);
      await write(
        "INSERT OR REPLACE INTO dead (run, letter) VALUES (?, ?)",
        letter.run,
        JSON.stringify(letter),
      );
    },
    dead: () =>
      all("SELECT letter FROM dead ORDER BY number").map(
        ({ letter }) => JSON.parse(letter as string) as DeadLetter,
      ),
    forgetDead: (run) => writeLater("DELETE FROM dead WHERE run = ?", run),
    flush: async () => await open?.promise,
    [Symbol.dispose]() {
      commit();
      db.close();
    },
  };
}

function timerOf({ name, id, due, data, hops }: Record<string, SQLOutputValue>): Timer {
  return {
    name: name as string,
    id: id as string,
    dueMs: Number(due),
    data: JSON.parse(data as string) as Json,
    hops: Number(hops),
  };
}

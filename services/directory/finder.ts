// The finder: nodes of the projection that may be what somebody looks for, in the order of their keys.
// In: a query, who asks, after which node. Out: candidates with what made them so. Never: a look at what is open to nobody but another owner; the last word on what may be seen.
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Json } from "../core/json.ts";
import type { QueryText } from "../core/query-target.ts";
import { ownerKey, placeKey, type Realm, rangeOf, wordToken } from "./keys.ts";
import { type Query, queryOf } from "./query.ts";
import type { Condition, Where } from "./where.ts";
import { wordsOf } from "./words.ts";

export interface Question {
  readonly text: QueryText;
  /** The account that asks. */
  readonly asker: string | undefined;
  /** The key of the last node that was looked at. */
  readonly after: bigint;
  readonly candidatesMax: number;
  readonly nowMs: number;
}

export interface Candidate {
  readonly key: bigint;
  readonly address: string;
  /** Whether it lies under the account that asks. */
  readonly isOwn: boolean;
  /** Its properties that may be open to whoever asks. */
  readonly names: readonly string[];
  /** For each word that is not in its address: which of those names hold it. */
  readonly holders: readonly (readonly number[])[];
  /** Of all values of the node, in bytes. */
  readonly size: number;
  /** What the expression asks for, as JSON. */
  readonly values: readonly (readonly [name: string, value: string])[];
}

export interface Found {
  readonly candidates: readonly Candidate[];
  /** Everything up to here was looked at. */
  readonly last: bigint;
  readonly isDone: boolean;
  /** The expression took too long on one node. */
  readonly isTooSlow: boolean;
  /** How long it took. */
  readonly spentMs: number;
}

export type Finder = (question: Question) => Found;

/** How long one answer may take; whoever wants more asks again. */
const sliceMs = 15;
/** Nodes between two looks at the clock. */
const clockEach = 16;
const valuesLengthMax = 1024 * 1024;
const queriesMax = 32;
/** A list that is not longer is put in order; a longer one is gone through in its order. */
const shortMax = 2_000;
/** Keys fetched at once. */
const chunk = 256;

interface PropRow {
  readonly name: string;
  readonly open: number;
  readonly words: string;
  readonly value: string;
}

/** @param compile reads an expression that was read before, in another thread */
export function openFinder(database: DatabaseSync, compile: (text: string) => Where): Finder {
  const queries = new Map<string, Query>();
  const nodeAt = database.prepare("SELECT address, owner, there FROM node WHERE id = ?");
  nodeAt.setReadBigInts(true);
  const sizeOf = database.prepare("SELECT sum(octet_length(value)) AS size FROM prop WHERE node = ?");
  const namesOf = database.prepare("SELECT name FROM prop WHERE node = ? AND open >= ?");
  const wordsAt = database.prepare("SELECT name, words FROM prop WHERE node = ? AND open >= ?");
  const valueAt = database.prepare("SELECT value FROM prop WHERE node = ? AND name = ? AND open >= ?");

  function known(text: QueryText): Query {
    const key = JSON.stringify([text.q, text.where]);
    const before = queries.get(key);
    if (before !== undefined) return before;
    const query = queryOf(text, compile);
    if (queries.size >= queriesMax) queries.clear();
    queries.set(key, query);
    return query;
  }

  function candidateOf(key: bigint, query: Query, question: Question): Candidate | "no" | "too-slow" {
    const node = nodeAt.get(key);
    if (node === undefined || node.there !== 1n) return "no";
    const { asker } = question;
    const address = String(node.address);
    const isOwn = asker !== undefined && node.owner === ownerKey(asker);
    const least = isOwn ? 0 : asker === undefined ? 2 : 1;
    const values: [string, string][] = [];
    if (query.where) {
      const properties = new Map<string, Json>();
      for (const name of query.where.names) {
        const value = valueAt.get(key, name, least)?.value;
        if (typeof value !== "string") continue;
        values.push([name, value]);
        properties.set(name, JSON.parse(value) as Json);
      }
      const answer = query.where.test(address, properties, question.nowMs);
      if (answer !== "yes") return answer;
    }
    const inAddress = wordsOf(address);
    const missing = query.words.filter((word) => !inAddress.has(word));
    const rows = (missing.length > 0 ? wordsAt : namesOf).all(key, least) as unknown as PropRow[];
    if (rows.length === 0 && !isOwn) return "no";
    const spaced = missing.length > 0 ? rows.map(({ words }) => ` ${words} `) : [];
    const holders = missing.map((word) =>
      spaced.flatMap((words, index) => (words.includes(` ${word} `) ? [index] : [])),
    );
    if (holders.some((names) => names.length === 0)) return "no";
    const size = Number(sizeOf.get(key)?.size ?? 0);
    return { key, address, isOwn, size, names: rows.map(({ name }) => name), holders, values };
  }

  return (question) => {
    const query = known(question.text);
    const keysAfter = keysOf(database, query, question.asker);
    const candidates: Candidate[] = [];
    const beganMs = performance.now();
    const untilMs = beganMs + sliceMs;
    const found = (last: bigint, is: { isDone?: boolean; isTooSlow?: boolean } = {}): Found => {
      const spentMs = performance.now() - beganMs;
      return { candidates, last, isDone: false, isTooSlow: false, spentMs, ...is };
    };
    let { after: last } = question;
    let looked = 0;
    let size = 0;
    for (;;) {
      const keys = keysAfter(last);
      for (const key of keys) {
        if (++looked % clockEach === 0 && performance.now() > untilMs) {
          return found(last);
        }
        const one = candidateOf(key, query, question);
        last = key;
        if (one === "no") continue;
        if (one === "too-slow") return found(last, { isTooSlow: true });
        candidates.push(one);
        for (const [, value] of one.values) size += value.length;
        if (candidates.length >= question.candidatesMax || size > valuesLengthMax) {
          return found(last);
        }
      }
      if (keys.length < chunk) return found(last, { isDone: true });
    }
  };
}

/** The next keys after one of them, at most a chunk, ascending. */
type KeysAfter = (after: bigint) => readonly bigint[];

function keysOf(database: DatabaseSync, { words, where }: Query, asker: string | undefined): KeysAfter {
  const realms: readonly Realm[] = asker === undefined ? ["anyone"] : ["anyone", "some", { owner: asker }];
  const conditions = where?.conditions ?? [];
  const needed = [...(where?.needed ?? [])];
  /** @param id the column that holds the node */
  const fulfilled = (id: string, left: readonly Condition[]): readonly [string, SQLInputValue[]] => [
    left
      .map(
        () =>
          ` AND EXISTS (SELECT 1 FROM scalar AS s WHERE s.place IN (${realms.map(() => "?")}) AND s.node = ${id} AND s.value >= ? AND s.value <= ?)`,
      )
      .join(""),
    left.flatMap((one) => [...placesOf(one), ...rangeOf(one)]),
  ];
  const placesOf = ({ name, path }: Condition): bigint[] =>
    realms.map((realm) => placeKey(realm, name, path));

  const shortest = shortestOf(conditions);
  if (words.length > 0 && (shortest === undefined || shortest.length > shortMax)) {
    const match = words
      .map((word) => `(${realms.map((realm) => `"${wordToken(realm, word)}"`).join(" OR ")})`)
      .join(" AND ");
    const [sql, values] = fulfilled("word.rowid", conditions);
    return prepared(
      `SELECT rowid AS id FROM word WHERE word MATCH ? AND rowid > ?${sql} ORDER BY rowid LIMIT ${chunk}`,
      (after) => [match, after, ...values],
    );
  }
  if (shortest) {
    const [sql, values] = fulfilled(
      "t.node",
      conditions.filter((one) => one !== shortest.condition),
    );
    const [from, to] = rangeOf(shortest.condition);
    const isOne = from === to;
    // Few are put in order, many are gone through in their order; those of one value lie in it.
    const by = isOne || shortest.length <= shortMax ? "INDEXED BY scalar_value" : "NOT INDEXED";
    const value = isOne ? "t.value = ?" : "t.value >= ? AND t.value <= ?";
    const streams = placesOf(shortest.condition).map((place) =>
      prepared(
        `SELECT t.node AS id FROM scalar AS t ${by} WHERE t.place = ? AND ${value} AND t.node > ?${sql} ORDER BY t.node LIMIT ${chunk}`,
        (after) => [place, from, ...(isOne ? [] : [to]), after, ...values],
      ),
    );
    return merged(streams);
  }
  const [name] = needed;
  if (name !== undefined) {
    return merged(
      realms.map((realm) =>
        prepared(
          `SELECT node AS id FROM scalar WHERE place = ? AND node > ? ORDER BY node LIMIT ${chunk}`,
          (after) => [placeKey(realm, name, undefined), after],
        ),
      ),
    );
  }
  return prepared(`SELECT id FROM node WHERE id > ? ORDER BY id LIMIT ${chunk}`, (after) => [after]);

  function shortestOf(among: readonly Condition[]) {
    let best: { condition: Condition; length: number } | undefined;
    for (const condition of among) {
      let length = 0;
      for (const place of placesOf(condition)) {
        const row = database
          .prepare(
            `SELECT count(*) AS n FROM (SELECT 1 FROM scalar WHERE place = ? AND value >= ? AND value <= ? LIMIT ${shortMax + 1})`,
          )
          .get(place, ...rangeOf(condition));
        length += Number(row?.n);
      }
      if (best === undefined || length < best.length) best = { condition, length };
    }
    return best;
  }

  function prepared(sql: string, parameters: (after: bigint) => SQLInputValue[]): KeysAfter {
    const statement = database.prepare(sql);
    statement.setReadBigInts(true);
    return (after) => statement.all(...parameters(after)).map(({ id }) => id as bigint);
  }
}

/** Several ascending lists as one. */
function merged(streams: readonly KeysAfter[]): KeysAfter {
  if (streams.length === 1) return streams[0] as KeysAfter;
  return (after) => {
    const all = new Set(streams.flatMap((keysAfter) => [...keysAfter(after)]));
    return [...all].sort((a, b) => (a < b ? -1 : 1)).slice(0, chunk);
  };
}

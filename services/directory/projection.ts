// The projection: nodes and properties as SQLite holds them for searches, with the place in the log that they stand at.
// In: changes in log order. Out: a database that can be searched. Never: the truth; whatever is wrong with the file, it is made anew.
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { parseAddress, rootOf } from "../core/address.ts";
import { decodeProperty } from "../core/fact.ts";
import type { Json } from "../core/json.ts";
import type { Visibility } from "../core/policy.ts";
import { visible } from "../core/property.ts";
import { nodeKey, ownerKey, placeKey, type Realm, scalarsOf, wordToken } from "./keys.ts";
import { type Grants, noGrants, type Openness, openness } from "./openness.ts";
import { wordsOf, wordsOfValue } from "./words.ts";

/** One step of the projection. Each may be taken twice. */
export type Change =
  | { readonly is: "node"; readonly address: string; readonly isThere: boolean }
  | {
      readonly is: "property";
      readonly address: string;
      readonly name: string;
      readonly body: string;
      readonly visibility: Visibility;
    }
  /** The owner has decided anew. */
  | { readonly is: "grants"; readonly owner: string; readonly grants: Grants; readonly after?: bigint }
  /** A type became more or less open, of one owner or of the whole domain. */
  | {
      readonly is: "type";
      readonly name: string;
      readonly owner?: string;
      readonly visibility: Visibility;
      /** Owners for whom it may be another: each has a change of its own. */
      readonly except?: readonly string[];
      readonly after?: bigint;
    };

/** Where in the log a projection stands. */
export interface Standing {
  readonly epoch: string;
  readonly position: number;
  /** The newest term that it has seen: a history that was restored from a backup has another. */
  readonly term: string;
  /** When it last took something in, in ms since 1970. */
  readonly savedMs: number;
}

export interface Projection extends Disposable {
  readonly database: DatabaseSync;
  readonly standing: Standing;
  /**
   * Searches see it at once; the file has it with the next commit, all of it or nothing.
   * @returns what is left to do of changes that concern many nodes: to be given back at once
   */
  apply(changes: readonly Change[], standing: Standing): readonly Change[];
  /** Many small changes in one commit cost the disk a hundredth of what each by itself would. */
  commit(): void;
}

/** Nodes that one step of a change looks at. */
const stride = 200;

interface Held {
  readonly visibility: Visibility;
  readonly open: Openness;
  readonly words: string;
  readonly value: string;
}

interface NodeRow {
  readonly id: bigint;
  readonly owner: string;
  readonly address: string;
}

export function openProjection(database: DatabaseSync): Projection {
  const sql = (text: string): StatementSync => {
    const statement = database.prepare(text);
    statement.setReadBigInts(false);
    return statement;
  };
  const readState = sql("SELECT epoch, position, term, saved FROM state");
  const writeState = sql("UPDATE state SET epoch = ?, position = ?, term = ?, saved = ?");
  const nodeAt = sql("SELECT address, there FROM node WHERE id = ?");
  const putNode = sql(
    "INSERT INTO node VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET there = excluded.there",
  );
  const dropNode = sql("DELETE FROM node WHERE id = ?");
  const propAt = sql("SELECT visibility, open, words, value FROM prop WHERE node = ? AND name = ?");
  const propsOf = sql("SELECT name, visibility, open, words, value FROM prop WHERE node = ?");
  const putProp = sql("INSERT OR REPLACE INTO prop VALUES (?, ?, ?, ?, ?, ?)");
  const dropProp = sql("DELETE FROM prop WHERE node = ? AND name = ?");
  const putScalar = sql("INSERT OR REPLACE INTO scalar VALUES (?, ?, ?)");
  const dropScalar = sql("DELETE FROM scalar WHERE place = ? AND node = ?");
  const putWords = sql("INSERT OR REPLACE INTO word (rowid, words) VALUES (?, ?)");
  const dropWords = sql("DELETE FROM word WHERE rowid = ?");
  const grantsAt = sql("SELECT grants FROM grants WHERE owner = ?");
  const putGrants = sql("INSERT OR REPLACE INTO grants VALUES (?, ?)");
  const nodesOfOwner = bigints("SELECT id, address FROM node WHERE owner = ? AND id > ? ORDER BY id LIMIT ?");
  const allNodes = bigints("SELECT id, address FROM node WHERE id > ? ORDER BY id LIMIT ?");

  function bigints(text: string): StatementSync {
    const statement = database.prepare(text);
    statement.setReadBigInts(true);
    return statement;
  }

  let standing = read();
  let committed = standing;
  let dirty = new Map<bigint, NodeRow>();
  let granted = new Map<string, Grants>();

  function read(): Standing {
    const { epoch, position, term, saved } = readState.get() as Record<string, string | number>;
    return { epoch: String(epoch), position: Number(position), term: String(term), savedMs: Number(saved) };
  }

  function nodeOf(address: string): NodeRow {
    const owner = rootOf(parseAddress(address)).text;
    return { id: nodeKey(standing.epoch, address), owner, address };
  }

  /** False where another address stands at the same place, which 63 bits make unheard of: the later one is not found. */
  function isFree({ id, address }: NodeRow): boolean {
    const there = nodeAt.get(id);
    return there === undefined || there.address === address;
  }

  function grantsFor(owner: string): Grants {
    const known = granted.get(owner);
    if (known !== undefined) return known;
    const row = grantsAt.get(ownerKey(owner));
    const grants = row === undefined ? noGrants : (JSON.parse(String(row.grants)) as Grants);
    granted.set(owner, grants);
    return grants;
  }

  function takeNode(address: string, isThere: boolean): void {
    const node = nodeOf(address);
    if (!isFree(node)) return;
    putNode.run(node.id, address, ownerKey(node.owner), isThere ? 1 : 0);
    dirty.set(node.id, node);
  }

  function takeProperty({ address, name, body, visibility }: Extract<Change, { is: "property" }>): void {
    const node = nodeOf(address);
    if (!isFree(node)) return;
    const before = propAt.get(node.id, name) as unknown as Held | undefined;
    const view = visible(decodeProperty(body, 0));
    const open = openness(grantsFor(node.owner), name, visibility);
    const value = view === undefined ? undefined : JSON.stringify(view.value);
    if (before && value === before.value && open === before.open && visibility === before.visibility) return;
    if (before) dropScalars(node, name, before);
    if (view === undefined || value === undefined) {
      if (before === undefined) return;
      dropProp.run(node.id, name);
      dirty.set(node.id, node);
      return;
    }
    const words = [...wordsOfValue(view.value)].join(" ");
    if (nodeAt.get(node.id) === undefined) putNode.run(node.id, address, ownerKey(node.owner), 0);
    putProp.run(node.id, name, visibility, open, words, value);
    putScalars(node, name, open, view.value);
    if (before === undefined || words !== before.words || open !== before.open) dirty.set(node.id, node);
  }

  function dropScalars(node: NodeRow, name: string, { open, value }: Held): void {
    const realm = realmOf(node, open);
    dropScalar.run(placeKey(realm, name, undefined), node.id);
    for (const [path] of scalarsOf(JSON.parse(value) as Json)) {
      dropScalar.run(placeKey(realm, name, path), node.id);
    }
  }

  function putScalars(node: NodeRow, name: string, open: Openness, value: Json): void {
    const realm = realmOf(node, open);
    putScalar.run(placeKey(realm, name, undefined), node.id, null);
    for (const [path, scalar] of scalarsOf(value)) {
      putScalar.run(placeKey(realm, name, path), node.id, scalar);
    }
  }

  /** Puts the properties of a node that are selected under the class that they now belong to. */
  function reopen(node: NodeRow, visibilityOf: (name: string, before: Visibility) => Visibility): void {
    for (const row of propsOf.all(node.id)) {
      const { name, ...before } = row as unknown as Held & { name: string };
      const visibility = visibilityOf(name, before.visibility);
      const open = openness(grantsFor(node.owner), name, visibility);
      if (open === before.open && visibility === before.visibility) continue;
      dropScalars(node, name, before);
      putScalars(node, name, open, JSON.parse(before.value) as Json);
      putProp.run(node.id, name, visibility, open, before.words, before.value);
      dirty.set(node.id, node);
    }
  }

  /** @returns what is left to do */
  function take(change: Change): Change | undefined {
    if (change.is === "node") takeNode(change.address, change.isThere);
    else if (change.is === "property") takeProperty(change);
    else {
      const { owner, after = -1n } = change;
      if (change.is === "grants") {
        putGrants.run(ownerKey(change.owner), JSON.stringify(change.grants));
        granted.set(change.owner, change.grants);
      }
      const rows =
        owner === undefined ? allNodes.all(after, stride) : nodesOfOwner.all(ownerKey(owner), after, stride);
      for (const { id, address } of rows as unknown as { id: bigint; address: string }[]) {
        const node = { ...nodeOf(address), id };
        if (change.is === "type" && change.except?.includes(node.owner)) continue;
        reopen(node, (name, before) =>
          change.is === "type" && name === change.name ? change.visibility : before,
        );
      }
      const last = rows.at(-1)?.id as bigint | undefined;
      if (rows.length === stride && last !== undefined) return { ...change, after: last };
    }
    return undefined;
  }

  /** Writes the words of a node anew. */
  function reword(node: NodeRow): void {
    const props = propsOf.all(node.id) as unknown as (Held & { name: string })[];
    const there = nodeAt.get(node.id)?.there === 1;
    if (!there) {
      dropWords.run(node.id);
      if (props.length === 0) dropNode.run(node.id);
      return;
    }
    const tokens: string[] = [];
    let widest: Openness = 0;
    for (const { open, words } of props) {
      if (open > widest) widest = open;
      const realm = realmOf(node, open);
      for (const word of words.split(" ")) if (word !== "") tokens.push(wordToken(realm, word));
    }
    // A node is found by its address by whoever may find anything of it.
    const realm = realmOf(node, widest);
    for (const word of wordsOf(node.address)) tokens.push(wordToken(realm, word));
    putWords.run(node.id, tokens.join(" "));
  }

  function commit(): void {
    if (!database.isTransaction) return;
    database.exec("COMMIT");
    committed = standing;
  }

  return {
    database,
    get standing() {
      return standing;
    },
    apply(changes, next) {
      const left: Change[] = [];
      const before = standing;
      dirty = new Map();
      if (!database.isTransaction) database.exec("BEGIN");
      try {
        standing = next;
        for (const change of changes) {
          const rest = take(change);
          if (rest) left.push(rest);
        }
        for (const node of dirty.values()) reword(node);
        // Until the whole of it is done, a crash leads back to where it began.
        if (left.length > 0) standing = { ...next, position: before.position, term: before.term };
        writeState.run(standing.epoch, standing.position, standing.term, standing.savedMs);
      } catch (error) {
        standing = committed;
        granted = new Map();
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
      if (granted.size > 10_000) granted = new Map();
      return left;
    },
    commit,
    [Symbol.dispose]() {
      commit();
      database.close();
    },
  };
}

function realmOf({ owner }: NodeRow, open: Openness): Realm {
  if (open === 2) return "anyone";
  return open === 1 ? "some" : { owner };
}

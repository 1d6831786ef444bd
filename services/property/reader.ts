// Reading: nodes and properties as one caller may see them.
// In: a caller, an address, a selection. Out: answers straight from the log. Never: a leased value after its deadline, or what the caller may not see.
import { type Address, type Depth, makeAddress, rootOf } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { type NodeKind, type Principal, requireScope } from "../core/principal.ts";
import { deadline, visible } from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import { nodeOf, stateOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import { type Fact, type Log, type Snapshot, TooMuch } from "../store/log.ts";
import { factsOfEveryPath, factsOfNode, placeOf, subjectOf } from "../store/subjects.ts";
import { type Access, type Look, nothingDisclosed, type Witness } from "./access.ts";
import { type PropertyShape, propertyShape } from "./answer.ts";
import { type AnswerRoom, answerTooLarge, lookedMax } from "./answer-room.ts";
import type { Leases } from "./leases.ts";

export interface NodeShape {
  readonly address: string;
  readonly kind: NodeKind;
  readonly properties: { readonly [name: string]: PropertyShape };
  readonly children?: readonly NodeShape[];
}

export interface Reader {
  /** @throws Refusal `not-found` when the caller may see nothing there; `blocked`, `reveal-required`, `answer-too-large` */
  node(look: Look, address: Address, select: Selection, depth: Depth): Promise<NodeShape>;
  /** What `node` would show now of each of some nodes, without a word to their owners: whoever shows it tells the witness first. */
  glimpse(look: Look, addresses: readonly Address[]): Promise<readonly (NodeShape | undefined)[]>;
  /** @throws Refusal `not-found`, `blocked`, `reveal-required` */
  property(look: Look, address: Address, name: string): Promise<PropertyShape>;
  /** Of these names the ones that the principal's own node holds, with their values: what it can disclose. */
  own(who: Principal, names: readonly string[]): Promise<ReadonlyMap<string, Json>>;
}

export interface Selection {
  readonly patterns: readonly string[];
  readonly matches: (name: string) => boolean;
  /** What is shown is taken from it; without one there may be any amount, such as where only names are. */
  readonly room?: AnswerRoom | undefined;
}

export interface ReaderDeps {
  readonly log: Log;
  readonly follower: Follower;
  readonly leases: Leases;
  readonly access: Access;
  readonly witness: Witness;
  readonly now: () => number;
}

/** Leases that end while a node is read make it be read again, and so does what its owner decides. */
const roundsMax = 20;

interface Found {
  readonly kind: NodeKind;
  /** Characters of what is shown. */
  size: number;
  readonly properties: { [name: string]: PropertyShape };
}

export function openReader({ log, follower, leases, access, witness, now }: ReaderDeps): Reader {
  async function property(look: Look, address: Address, name: string): Promise<PropertyShape> {
    if (look.caller) requireScope(look.caller, "read", name);
    return await visibleOrNothing(look, address, [name], async (mayLook) => {
      const fact = await log.last(subjectOf(mayLook ? address : nowhere(address), "property", name));
      const settled = fact && (await leases.settleSurely(fact));
      if (settled === undefined) return undefined;
      await follower.known(settled.position);
      if (!access.may(look, address, name, "read")) return undefined;
      const shape = propertyShape(address.text, name, stateOf(settled));
      if (shape) await witness.fetched(look, address, [name]);
      return shape;
    });
  }

  async function node(look: Look, address: Address, select: Selection, depth: Depth): Promise<NodeShape> {
    requireReading(look);
    const patterns = select.patterns.length === 0 ? ["*"] : select.patterns;
    let size = 0;
    const shown = await visibleOrNothing(look, address, patterns, async (mayLook) => {
      const at = mayLook ? address : nowhere(address);
      const filters =
        depth === "0"
          ? [subjectOf(at, "node"), factsOfNode(at, "property")]
          : [factsOfEveryPath(at, "node"), factsOfEveryPath(at, "property")];
      const found = await seen(look, filters, select.matches, lookedMax).catch((error: unknown) => {
        if (select.room && error instanceof Refusal) select.room.looked += lookedMax;
        throw error;
      });
      size = [...found.values()].reduce((sum, one) => sum + one.size, 0);
      if (select.room) select.room.looked += size;
      select.room?.requires(size);
      const shape = assemble(address.text, found, depth, look.caller?.address.text === rootOf(address).text);
      if (shape) await witness.fetched(look, address, namesIn(shape));
      return shape;
    });
    // Others may have taken of it meanwhile.
    select.room?.requires(size);
    select.room?.take(size);
    return shown;
  }

  async function glimpse(
    look: Look,
    addresses: readonly Address[],
  ): Promise<readonly (NodeShape | undefined)[]> {
    requireReading(look);
    if (addresses.length === 0) return [];
    const filters = addresses.flatMap((one) => [subjectOf(one, "node"), factsOfNode(one, "property")]);
    const found = await steadily(look, addresses, () => seen(look, filters, () => true));
    const owned = (address: Address): boolean => look.caller?.address.text === rootOf(address).text;
    return addresses.map((one) => found && assemble(one.text, found, "0", owned(one)));
  }

  async function seen(
    look: Look,
    filters: readonly string[],
    matches: Selection["matches"],
    charactersMax = Infinity,
  ): Promise<ReadonlyMap<string, Found>> {
    const { facts, position } = await settledFacts(filters, charactersMax).catch((error: unknown) => {
      throw error instanceof TooMuch ? answerTooLarge() : error;
    });
    await follower.known(position);
    return nodesAmong(facts, (of, name) => matches(name) && access.may(look, of, name, "read"));
  }

  /**
   * What is hidden costs the same as what is not there: one look at the log, one question how far it goes.
   * The second look is for what another broker has granted a moment ago.
   */
  async function visibleOrNothing<T>(
    look: Look,
    address: Address,
    names: readonly string[],
    readOnce: (mayLook: boolean) => Promise<T | undefined>,
  ): Promise<T> {
    const read = (mayLook: boolean): Promise<T | undefined> =>
      steadily(look, [address], () => readOnce(mayLook));
    const isOpen = (): boolean =>
      names.some((name) => access.judge(look, address, name, "read").is === "granted");
    const mayLook = isOpen();
    const found = await read(mayLook);
    if (found !== undefined) return found;
    await follower.caughtUp();
    if (!mayLook && isOpen()) {
      const granted = await read(true);
      if (granted !== undefined) return granted;
    }
    if (!isOpen()) witness.denied(look, address, names);
    access.requireOpen(look, address, names, "read");
    throw notFound();
  }

  /** What was read behind a block may have been replaced there before the block was lifted: read again. */
  async function steadily<T>(
    look: Look,
    addresses: readonly Address[],
    readOnce: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    for (let round = 0; round < roundsMax; round++) {
      const { position } = follower;
      const found = await readOnce();
      if (found === undefined) return undefined;
      const isOther = (one: Address): boolean =>
        access.hasLifted(one, position) || access.hasChanged(look, one, position);
      if (!addresses.some(isOther)) return found;
    }
    throw new Refusal("unavailable", "The owner keeps deciding anew who may read this.");
  }

  async function own(who: Principal, names: readonly string[]): Promise<ReadonlyMap<string, Json>> {
    if (names.length === 0) return nothingDisclosed;
    const subjects = names.map((name) => subjectOf(who.address, "property", name));
    const { facts } = await settledFacts(subjects);
    const held = new Map<string, Json>();
    for (const fact of facts) {
      const view = visible(stateOf(fact));
      if (view) held.set(placeOf(fact.subject).name, view.value);
    }
    return held;
  }

  /** A snapshot in which no lease has passed its deadline. */
  async function settledFacts(filters: readonly string[], charactersMax?: number): Promise<Snapshot> {
    for (let round = 0; round < roundsMax; round++) {
      const { facts: found, position } = await log.snapshot(filters, charactersMax);
      // What ended many leases at once is known from the feed alone.
      await follower.known(position);
      const facts = found.map((fact) => leases.stands(fact, position));
      const nowMs = now();
      const ended = facts.filter((fact) => isOver(fact, nowMs));
      if (ended.length === 0) return { facts, position };
      await Promise.all(ended.map((fact) => leases.settle(fact)));
    }
    throw new Refusal("unavailable", "Leases on this node keep ending faster than it can be read.");
  }

  return { node, glimpse, property, own };
}

/** Whether the token reads anything at all. @throws Refusal `scope-missing` */
export function requireReading({ caller }: Look): void {
  if (caller && !caller.scopes.some((scope) => scope.startsWith("read"))) requireScope(caller, "read");
}

/** Where nothing lies: looked at in place of what must not be seen, which would take another time. */
function nowhere({ domain }: Address): Address {
  return makeAddress("", domain);
}

/** Every node among the facts, with those of its properties that are to be shown. */
function nodesAmong(
  facts: readonly Fact[],
  isShown: (node: Address, name: string) => boolean,
): Map<string, Found> {
  const found = new Map<string, Found>();
  for (const fact of facts) {
    const place = placeOf(fact.subject);
    if (place.kind !== "node") continue;
    const decoded = nodeOf(fact);
    // A name such as __proto__ cannot occur: property names start with a letter or digit.
    if (decoded) found.set(place.address.text, { kind: decoded.nodeKind, size: 0, properties: {} });
  }
  for (const fact of facts) {
    const place = placeOf(fact.subject);
    if (place.kind !== "property" || !isShown(place.address, place.name)) continue;
    const shape = propertyShape(place.address.text, place.name, stateOf(fact));
    const into = found.get(place.address.text);
    if (shape === undefined || into === undefined) continue;
    into.properties[place.name] = shape;
    into.size += fact.body.length;
  }
  return found;
}

function isOver(fact: Fact, nowMs: number): boolean {
  if (!fact.body.includes('"l":{') || !fact.subject.includes(".property.")) return false;
  const untilMs = deadline(stateOf(fact));
  return untilMs !== undefined && untilMs <= nowMs;
}

/** A node as the caller sees it with what lies under it; undefined where there is nothing to see. */
function assemble(
  address: string,
  found: ReadonlyMap<string, Found>,
  depth: Depth,
  owns: boolean,
): NodeShape | undefined {
  const own = found.get(address);
  if (own === undefined) return undefined;
  const { kind, properties } = own;
  const sees = owns || Object.keys(properties).length > 0;
  if (depth === "0") return sees ? { address, kind, properties } : undefined;
  const children: NodeShape[] = [];
  for (const other of found.keys()) {
    const rest = other.startsWith(`${address}/`) ? other.slice(address.length + 1) : "";
    if (rest === "" || rest.includes("/")) continue;
    const child = assemble(other, found, depth === "1" ? "0" : depth, owns);
    if (child) children.push(child);
  }
  return sees || children.length > 0 ? { address, kind, properties, children } : undefined;
}

/** The names of all properties that are shown, on this node or under it. */
function namesIn({ properties, children = [] }: NodeShape): readonly string[] {
  return [...new Set([...Object.keys(properties), ...children.flatMap(namesIn)])].sort();
}

/** The same for what does not exist and for what may not be seen. */
function notFound(): Refusal {
  return new Refusal("not-found", "There is nothing here that you may see.");
}

// Reading: nodes and properties as one caller may see them.
// In: a caller, an address, a selection. Out: answers straight from the log. Never: a leased value after its deadline, or what the caller may not see.
import { type Address, type Depth, rootOf } from "../core/address.ts";
import { mayDeliver, type Visibility, visibilityOfUnknown } from "../core/policy.ts";
import { allows, type Caller, type NodeKind, requireScope } from "../core/principal.ts";
import { deadline } from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import { nodeOf, stateOf } from "../store/decoded.ts";
import type { Fact, Log } from "../store/log.ts";
import { factsOfEveryPath, factsOfNode, placeOf, subjectOf } from "../store/subjects.ts";
import { type PropertyShape, propertyShape } from "./answer.ts";
import type { Leases } from "./leases.ts";

import type { Types } from "./types.ts";

export interface NodeShape {
  readonly address: string;
  readonly kind: NodeKind;
  readonly properties: { readonly [name: string]: PropertyShape };
  readonly children?: readonly NodeShape[];
}

export interface Reader {
  /** @throws Refusal `not-found` when the caller may see nothing there */
  node(caller: Caller, address: Address, select: (name: string) => boolean, depth: Depth): Promise<NodeShape>;
  /** @throws Refusal `not-found` */
  property(caller: Caller, address: Address, name: string): Promise<PropertyShape>;
  /** Who may see, by the right `watch` of its token, a property of this name; without a name, who may know of the node. */
  audience(owner: Address, name: string): (caller: Caller) => boolean;
}

export interface ReaderDeps {
  readonly log: Log;
  readonly leases: Leases;
  readonly types: Types;
  readonly now: () => number;
}

/** Leases that end while a node is read make it be read again. */
const roundsMax = 20;

interface Found {
  readonly kind: NodeKind;
  readonly properties: { [name: string]: PropertyShape };
}

export function openReader({ log, leases, types, now }: ReaderDeps): Reader {
  function audience(owner: Address, name: string): (caller: Caller) => boolean {
    const visibility = name === "" ? visibilityOfUnknown : types.visibilityOf(owner, name);
    return (caller) => sees(caller, owner, visibility, name, "watch");
  }

  function maySee(caller: Caller, owner: Address, name: string): boolean {
    return sees(caller, owner, types.visibilityOf(owner, name), name, "read");
  }

  async function property(caller: Caller, address: Address, name: string): Promise<PropertyShape> {
    if (caller) requireScope(caller, "read", name);
    const subject = subjectOf(address, "property", name);
    const fact = await log.last(subject);
    const settled = fact && (await leases.settle(fact));
    const shape = settled && propertyShape(address.text, name, stateOf(settled));
    if (shape === undefined || !maySee(caller, address, name)) throw notFound();
    return shape;
  }

  async function node(
    caller: Caller,
    address: Address,
    select: (name: string) => boolean,
    depth: Depth,
  ): Promise<NodeShape> {
    if (caller && !caller.scopes.some((scope) => scope.startsWith("read"))) requireScope(caller, "read");
    const filters =
      depth === "0"
        ? [subjectOf(address, "node"), factsOfNode(address, "property")]
        : [factsOfEveryPath(address, "node"), factsOfEveryPath(address, "property")];
    const facts = await settledFacts(filters);
    const found = new Map<string, Found>();
    for (const fact of facts) {
      const place = placeOf(fact.subject);
      if (place.kind !== "node") continue;
      const decoded = nodeOf(fact);
      // A name such as __proto__ cannot occur: property names start with a letter or digit.
      if (decoded) found.set(place.address.text, { kind: decoded.nodeKind, properties: {} });
    }
    for (const fact of facts) {
      const place = placeOf(fact.subject);
      if (place.kind !== "property" || !select(place.name) || !maySee(caller, place.address, place.name))
        continue;
      const shape = propertyShape(place.address.text, place.name, stateOf(fact));
      const into = found.get(place.address.text);
      if (shape && into) into.properties[place.name] = shape;
    }
    const shape = assemble(address.text, found, depth, caller?.address.text === rootOf(address).text);
    if (shape === undefined) throw notFound();
    return shape;
  }

  /** A snapshot in which no lease has passed its deadline. */
  async function settledFacts(filters: readonly string[]): Promise<readonly Fact[]> {
    for (let round = 0; round < roundsMax; round++) {
      const { facts } = await log.snapshot(filters);
      const nowMs = now();
      const ended = facts.filter((fact) => isOver(fact, nowMs));
      if (ended.length === 0) return facts;
      await Promise.all(ended.map((fact) => leases.settle(fact)));
    }
    throw new Refusal("unavailable", "Leases on this node keep ending faster than it can be read.");
  }

  return { node, property, audience };
}

/** The one question that every exit asks: of the token, and of what its owner grants. */
function sees(
  caller: Caller,
  owner: Address,
  visibility: Visibility,
  name: string,
  right: "read" | "watch",
): boolean {
  if (caller && !allows(caller.scopes, right, name === "" ? undefined : name)) return false;
  return mayDeliver({ owner: rootOf(owner).text, watcher: caller?.address.text, visibility });
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

/** The same for what does not exist and for what may not be seen. */
function notFound(): Refusal {
  return new Refusal("not-found", "There is nothing here that you may see.");
}

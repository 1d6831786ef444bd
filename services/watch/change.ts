// Changes: what a fact means to whoever watches, told and encoded once for all of them.
// In: facts of properties and nodes. Out: changes with their events. Never: a read of the store to build an event.
import type { Address } from "../core/address.ts";
import { nodeRegistered, propertyChanged, propertyRemoved, type TidingsEvent } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import type { Past } from "../core/property.ts";
import { visible } from "../core/property.ts";
import type { Arrived, Rights } from "../messages/messages.ts";
import type { Audience } from "../property/properties.ts";
import { nodeOf, stateOf } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";
import type { SharedEvent } from "./session.ts";

export interface Change {
  readonly subject: string;
  readonly address: Address;
  /** The property's name; empty where the node itself changed. */
  readonly name: string;
  /** The position of the fact. */
  readonly position: number;
  /** The position at which what readers see last changed. */
  readonly revision: number;
  /** Which change of what readers see that was, counted over the property's lives. */
  readonly edition: number;
  /** The position at which the property, or the node, came to be. */
  readonly born: number;
  /** Where it had been there before. */
  readonly past: Past | undefined;
  /** What readers see now; null when there is nothing. */
  readonly value: Json;
  /** Whether there is anything to see. */
  readonly isThere: boolean;
  readonly audience: Audience;
  /** It is a message to whoever watches the property: nothing that stays, and nothing that a filter looks at. */
  readonly letter?: { readonly mayTell: (account: string | undefined) => boolean };
  event(reason: "live" | "snapshot"): TidingsEvent;
}

export interface ChangeDeps {
  readonly epoch: string;
  /** Who may see a property of this name; without a name, who may know of the node. */
  readonly audience: (owner: Address, name: string) => Audience;
}

export function propertyChange(fact: Fact, address: Address, name: string, deps: ChangeDeps): Change {
  const state = stateOf(fact);
  const { revision, edition, reason, born, past, cause } = state;
  const view = visible(state);
  const change = { epoch: deps.epoch, node: address.text, name, revision };
  return {
    subject: fact.subject,
    address,
    name,
    position: fact.position,
    revision,
    edition,
    born,
    past,
    value: view === undefined ? null : view.value,
    isThere: view !== undefined,
    audience: deps.audience(address, name),
    event(when) {
      if (view === undefined) return propertyRemoved({ ...change, timeMs: fact.timeMs, cause }, reason);
      const why = when === "snapshot" ? "snapshot" : reason === "expired" ? "expired" : "set";
      // What a snapshot shows was caused by whoever asked for it.
      const caused = when === "snapshot" ? { hops: cause?.hops } : cause;
      return propertyChanged({ ...change, timeMs: view.updatedMs, cause: caused }, view, why);
    },
  };
}

export function nodeChange(fact: Fact, address: Address, deps: ChangeDeps): Change {
  const node = nodeOf(fact);
  const { subject, position, timeMs } = fact;
  return {
    subject,
    address,
    name: "",
    position,
    revision: position,
    edition: 0,
    born: position,
    past: undefined,
    value: null,
    isThere: node !== undefined,
    audience: deps.audience(address, ""),
    event: () =>
      nodeRegistered({
        epoch: deps.epoch,
        node: address.text,
        kind: node?.nodeKind ?? "person",
        revision: position,
        timeMs,
      }),
  };
}

/** A message to those who watch a property. */
export function letterChange({ letter, subject, event }: Arrived, property: string, rights: Rights): Change {
  const { position, box } = letter;
  return {
    subject,
    address: box.address,
    name: property,
    position,
    revision: position,
    edition: 0,
    born: position,
    past: undefined,
    value: null,
    isThere: true,
    audience: rights.audience(letter, property),
    letter: { mayTell: (account) => rights.isOpenTo(letter, account) },
    event,
  };
}

export function share(
  event: TidingsEvent,
  position: number,
  cursor: string,
  storedMs: number | undefined,
  mayTell?: SharedEvent["mayTell"],
): SharedEvent {
  const json = JSON.stringify(event);
  return { event, json, size: json.length, position, cursor, storedMs, mayTell, framed: undefined };
}

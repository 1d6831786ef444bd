// Who an agent is: a node under its owner's, and a principal that acts for it.
// In: records. Out: addresses and principals. Never: more scopes than its permissions take.
import { type Address, makeAddress, parseAddress } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import { scopesFor } from "./granting.ts";
import type { Record } from "./records.ts";

export function nodeOf({ owner, id }: Pick<Record, "owner" | "id">): Address {
  const { local, domain } = parseAddress(owner);
  return makeAddress(local, domain, [id]);
}

export function principalOf(record: Pick<Record, "owner" | "id">, permissions: readonly string[]): Principal {
  const address = parseAddress(record.owner);
  return { address, agent: nodeOf(record), kind: "agent", scopes: scopesFor(permissions), tokenId: "" };
}

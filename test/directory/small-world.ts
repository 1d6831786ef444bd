// A small world: the services that a search needs, over a log in memory and a clock that stands still, without HTTP.
// In: perhaps a log, a file for the projection. Out: people's deeds as calls. Never: a timer that the test does not turn.

import { type Address, parseAddress, parsePropertyName } from "../../services/core/address.ts";
import type { Json } from "../../services/core/json.ts";
import type { Principal } from "../../services/core/principal.ts";
import type { BacklogBounds } from "../../services/directory/backlog.ts";
import { openDirectory } from "../../services/directory/directory.ts";
import { openMembers } from "../../services/groups/groups.ts";
import { openPolicies } from "../../services/policy/policies.ts";
import {
  type Look,
  nothingDisclosed,
  openPropertyService,
  type Seen,
} from "../../services/property/properties.ts";
import { follow } from "../../services/store/follower.ts";
import { openHeads } from "../../services/store/heads.ts";
import type { Log } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";

export interface SmallWorldOptions {
  readonly log?: Log;
  readonly file?: string | undefined;
  readonly bounds?: BacklogBounds;
  readonly onTrouble?: (message: string) => void;
}

export type SmallWorld = Awaited<ReturnType<typeof openSmallWorld>>;

export async function openSmallWorld(options: SmallWorldOptions = {}) {
  const { log = openMemoryLog(), file, bounds, onTrouble = () => undefined } = options;
  let nowMs = Date.now();
  const now = (): number => nowMs;
  const follower = follow(log);
  const heads = openHeads(log, 1024 * 1024, now);
  const following = follower.listen({ take: heads.follow });
  const members = openMembers(follower, now);
  const policies = openPolicies({ log, heads, follower, members, now });
  /** What owners were told: `watcher node names`. */
  const told: string[] = [];
  const witness = {
    fetched: ({ caller }: Look, node: Address, names: readonly string[]) =>
      void told.push(`${caller?.address.text ?? ""} ${node.text} ${names}`),
    fetchedAll: async (look: Look, seen: readonly Seen[]) => {
      for (const { node, names } of seen) witness.fetched(look, node, names);
    },
    denied: () => undefined,
  };
  const { book } = policies;
  const shared = { log, heads, follower, book, members, witness, domain: "localhost", now, onTrouble };
  const properties = openPropertyService({ ...shared, keeper: "test" });
  const { reader, writer, nodes, access, visibilities } = properties;
  const notices = { started: () => undefined, ended: () => undefined };
  const directory = openDirectory({ ...shared, notices, access, reader, visibilities, file, bounds });
  await follower.caughtUp();

  return {
    log,
    follower,
    policies,
    nodes,
    directory,
    reader,
    told,
    now,
    advance(ms: number) {
      nowMs += ms;
    },
    async sets(address: string, name: string, value: Json, lease?: { seconds: number; default?: Json }) {
      const node = parseAddress(address);
      const wish = lease === undefined ? { value } : { value, lease };
      await writer.set(owner(address), node, parsePropertyName(name), wish);
    },
    async removes(address: string, name: string) {
      await writer.remove(owner(address), parseAddress(address), parsePropertyName(name));
    },
    /** All pages of what a look finds, once the projection has all that there is; a busy machine may let it wait. */
    async finds(look: Look, wish: { q?: string; where?: string; limit?: number }) {
      const pages = [];
      for (let after: string | undefined; ; ) {
        const before = told.length;
        const page = await directory.search(look, { ...wish, after });
        if (page.partial) told.length = before;
        else {
          pages.push(page);
          if (page.next === undefined) return pages;
          after = page.next;
        }
      }
    },
    async [Symbol.asyncDispose]() {
      await directory[Symbol.asyncDispose]();
      await properties[Symbol.asyncDispose]();
      policies[Symbol.dispose]();
      following[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}

/** Whoever a node belongs to. */
function owner(address: string): Principal {
  return principal(address.split("/")[0] as string);
}

export function principal(address: string, scopes: readonly string[] = ["read", "write"]): Principal {
  return { address: parseAddress(address), kind: "person", scopes, tokenId: "" };
}

export function lookOf(
  caller: Principal | undefined,
  disclosed: ReadonlyMap<string, Json> = nothingDisclosed,
): Look {
  return { caller, via: "rest", disclosed };
}

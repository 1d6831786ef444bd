// The property service: nodes, their properties, leases and types. The folder's public file.
// In: the log and what follows it. Out: the parts that faces call. Never: a decision; each part makes its own.
import type { Soon } from "../core/soon.ts";
import type { Members } from "../groups/groups.ts";
import type { Book } from "../policy/policies.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import type { Fact, Log } from "../store/log.ts";
import { type Access, openAccess, type Witness } from "./access.ts";
import { openChanges } from "./change.ts";
import { withLeavings } from "./crowd-facts.ts";
import type { CrowdLimits } from "./crowds.ts";
import { type Leases, openLeases } from "./leases.ts";
import { openNameCounts } from "./name-counts.ts";
import { type NodeService, openNodes } from "./nodes.ts";
import { openReader, type Reader } from "./reader.ts";
import { openRenewer, type Renewer } from "./renewer.ts";
import { openTypes, type Types } from "./types.ts";
import type { Visibilities } from "./visibilities.ts";
import { openWriter, type Writer } from "./writer.ts";

export type { Cause } from "../core/property.ts";
export {
  type Access,
  type Audience,
  type Look,
  nothingDisclosed,
  type Seen,
  type Witness,
} from "./access.ts";
export type { PropertyShape } from "./answer.ts";
export { AnswerRoom } from "./answer-room.ts";
export type { NodeService } from "./nodes.ts";
export { type OnceKey, onceAnswer, onceAppend, onceSubject } from "./once.ts";
export { type NodeShape, type Reader, requireReading } from "./reader.ts";
export type { TypeShape } from "./types.ts";
export type { Retyping, Visibilities } from "./visibilities.ts";
export { type Condition, requireOwner, type Terms, type ValueWish } from "./wishes.ts";

export interface PropertyService extends AsyncDisposable {
  readonly writer: Writer;
  readonly renewer: Renewer;
  readonly reader: Reader;
  readonly nodes: NodeService;
  readonly types: Types;
  readonly access: Access;
  /** Ends the leases of a fact whose time has come. */
  readonly visibilities: Pick<Visibilities, "listen" | "of" | "ownersOf">;
  settle(fact: Fact): Soon<Fact | undefined>;
  /** How many properties are leased. */
  leased(): number;
}

export interface PropertyServiceDeps {
  readonly domain: string;
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  /** What owners have decided. */
  readonly book: Book;
  readonly members: Pick<Members, "has" | "groupsOf">;
  readonly witness: Witness;
  readonly now: () => number;
  /** Names this broker in the leases that it grants. */
  readonly keeper: string;
  readonly onTrouble: (message: string) => void;
  /** Others than usual, for tests. */
  readonly crowds?: CrowdLimits;
  /** How late a lease was ended, in ms. */
  readonly onLeaseEnded?: (lateMs: number) => void;
}

export function openPropertyService(deps: PropertyServiceDeps): PropertyService {
  const {
    domain,
    log,
    follower,
    book,
    members,
    witness,
    now,
    keeper,
    onTrouble,
    crowds,
    onLeaseEnded = () => undefined,
  } = deps;
  const heads: Heads = {
    ...deps.heads,
    append: (facts) => deps.heads.append(withLeavings(domain, facts)),
  };
  const changes = openChanges(heads, follower);
  // The order of listening: types decide who may see a fact, so they hear it first.
  const types = openTypes({ domain, log, heads, follower, changes });
  const leases: Leases = openLeases({
    domain,
    log,
    heads,
    follower,
    now,
    keeper,
    crowds,
    onTrouble,
    onEnded: onLeaseEnded,
  });
  const counts = openNameCounts(log, follower, leases);
  const nodes = openNodes({
    log,
    heads,
    follower,
    changes,
    leases,
    writesTo: counts.knows,
    now,
    keeper,
    onTrouble,
  });
  const access = openAccess(book, types.visibilities, members);
  const reader = openReader({ log, follower, leases, access, witness, now });
  const writer = openWriter({ changes, follower, heads, leases, types, counts, access, now, keeper });
  const renewer = openRenewer({ changes, leases, follower, access, now, keeper });
  return {
    writer,
    renewer,
    reader,
    nodes,
    types,
    access,
    visibilities: types.visibilities,
    settle: leases.settle,
    leased: () => leases.size,
    async [Symbol.asyncDispose]() {
      leases[Symbol.dispose]();
      counts[Symbol.dispose]();
      nodes[Symbol.dispose]();
      await types[Symbol.asyncDispose]();
    },
  };
}

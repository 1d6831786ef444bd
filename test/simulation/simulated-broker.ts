// A broker without faces: the services of services/broker.ts wired over a faulty log, to be killed and started anew.
// In: a network. Out: its services. Never: an answer after it was killed.
import { openForwarding } from "../../services/forward/forwarding.ts";
import { openMembers } from "../../services/groups/groups.ts";
import { openMessages } from "../../services/messages/messages.ts";
import { openPolicies } from "../../services/policy/policies.ts";
import type { CrowdLimits } from "../../services/property/crowds.ts";
import {
  nothingDisclosed,
  openPropertyService,
  type PropertyService,
} from "../../services/property/properties.ts";
import { type Follower, follow } from "../../services/store/follower.ts";
import { openHeads } from "../../services/store/heads.ts";
import type { Fact } from "../../services/store/log.ts";
import { openHistory, openWatching, type Watching } from "../../services/watch/watching.ts";
import { faultyLog, type Network } from "./faulty-log.ts";

export interface SimulatedBroker {
  readonly keeper: string;
  readonly properties: PropertyService;
  readonly watching: Watching;
  readonly follower: Follower;
  kill(): Promise<void>;
}

export interface BrokerSettings {
  readonly keeper: string;
  readonly network: Omit<Network, "isDead">;
  readonly now: () => number;
  /** Through group commit, as on JetStream, or straight to the tape. */
  readonly commits: "grouped" | "single";
  /** Small: next to nothing is remembered. */
  readonly headsBytesMax: number;
  /** When leases that end together are ended ahead of time. */
  readonly crowds: CrowdLimits;
}

export function openSimulatedBroker(settings: BrokerSettings): SimulatedBroker {
  const { keeper, network, now, commits, headsBytesMax, crowds } = settings;
  const { violate } = network;
  let dead = false;
  const log = faultyLog({ ...network, isDead: () => dead }, commits);
  const follower = follow(log);
  const heads = openHeads(log, headsBytesMax, now);
  const checking = follower.listen(groupsWhole(violate));
  const headsFollowing = follower.listen({ take: heads.follow });
  const members = openMembers(follower, now);
  const { book } = openPolicies({ log, heads, follower, members, now });
  const properties = openPropertyService({
    book,
    members,
    witness: { fetched: () => undefined, fetchedAll: () => Promise.resolve(), denied: () => undefined },
    domain: "example.com",
    log,
    heads,
    follower,
    now,
    keeper,
    crowds,
    onTrouble: () => undefined,
    onLeaseEnded: (lateMs) => {
      if (lateMs < 0) violate(`P8: ${keeper} ended a lease ${-lateMs} ms early`);
    },
  });
  const { access, settle } = properties;
  const forwarding = openForwarding({ heads, follower, access, now, onTrouble: () => undefined });
  const messages = openMessages({
    domain: "example.com",
    log,
    follower,
    members,
    book,
    access,
    forwarding,
    now,
  });
  const history = openHistory({ log, follower, domain: "example.com", now });
  const watching = openWatching({
    log,
    follower,
    history,
    // Simulated watchers come with their targets in hand.
    subscriptions: { of: async () => ({ held: [], ended: [] }), end: async () => undefined },
    book,
    members,
    visibilities: properties.visibilities,
    forwarding,
    access,
    doorkeeper: { admit: () => undefined, leave: () => undefined, ended: () => undefined },
    notices: { of: async () => [] },
    messages,
    own: async () => nothingDisclosed,
    standing: {
      of: async () => "active",
      ofAnybody: async () => "active",
      requireOpen: async () => undefined,
      addressOf: async () => undefined,
    },
    whoHas: async () => undefined,
    settle,
    now,
  });

  return {
    keeper,
    properties,
    watching,
    follower,
    async kill() {
      dead = true;
      watching[Symbol.dispose]();
      history[Symbol.dispose]();
      forwarding[Symbol.dispose]();
      await properties[Symbol.asyncDispose]();
      headsFollowing[Symbol.dispose]();
      checking[Symbol.dispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}

/** P4: positions rise, and a run of facts never ends within a group of which more comes. */
function groupsWhole(violate: (message: string) => void) {
  let position = 0;
  let open = 0;
  let flushed = 0;
  return {
    take(fact: Fact): void {
      // What one fact means for many comes before it, under its position.
      if (fact.groupEnd === Number.POSITIVE_INFINITY) {
        if (fact.position <= position) violate(`P4: a part of ${fact.position} came after ${position}`);
        return;
      }
      if (fact.position <= position) violate(`P4: the feed fell from ${position} to ${fact.position}`);
      if (fact.position <= flushed) violate(`P6: half a group up to ${position} of ${flushed}`);
      position = fact.position;
      open = Math.max(open, fact.groupEnd);
    },
    flush(): void {
      flushed = open;
    },
  };
}

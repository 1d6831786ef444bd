// The broker: every service wired over two logs, whatever those logs stand on.
// In: logs, a clock, settings. Out: one HTTP server that is ready to listen. Never: a process, a signal, an environment.

import { openAccounts } from "./accounts/accounts.ts";
import { openAgents } from "./agents/agents.ts";
import { brokerReadings, brokerTimes } from "./broker-meters.ts";
import type { BrokerOptions } from "./broker-options.ts";
import type { Caller } from "./core/principal.ts";
import { openDirectory, openQuery } from "./directory/directory.ts";
import { openEgress } from "./egress/egress.ts";
import { openForwarding } from "./forward/forwarding.ts";
import { openGroups, openMembers } from "./groups/groups.ts";
import { usualLimits } from "./http/quotas.ts";
import { type HttpServer, openHttp } from "./http/server.ts";
import { openMessages } from "./messages/messages.ts";
import { openMeters } from "./meters.ts";
import { openPolicies } from "./policy/policies.ts";
import { type Look, nothingDisclosed, openPropertyService } from "./property/properties.ts";
import { openPush } from "./push/push.ts";
import { follow } from "./store/follower.ts";
import { openHeads } from "./store/heads.ts";
import { openLag } from "./store/lag.ts";
import {
  endAll,
  openDoorkeeper,
  openExplain,
  openHistory,
  openHooked,
  openHooks,
  openNotices,
  openStanding,
  openSubscriptions,
  openWatchers,
  openWatching,
} from "./watch/watching.ts";
import { openWork } from "./work/work.ts";

export type { BrokerOptions } from "./broker-options.ts";

export interface Broker extends AsyncDisposable {
  readonly http: HttpServer;
}

/** Facts remembered to save reads before writes, in characters. */
const headsMax = 32 * 1024 * 1024;
const secretsMax = 16 * 1024 * 1024;

/** Resolves when the broker knows the log up to its end. */
export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const { domain, registration, origins, adminToken, facts, secrets, now, keeper, log } = options;
  const { ailments = () => [], rateLimit, limits = usualLimits, boxes, isAlone = false } = options;
  const onTrouble = (message: string): void => log.warn(message);
  const meters = openMeters();
  const { onLeaseEnded, onSent, onAttempt, onRun } = brokerTimes(meters);

  const work = await openWork({ domain, log: options.work, isAlone, onTrouble, times: options.beats });
  const secretsEnd = await secrets.end();
  // From here on nothing is waited for until all that follow the log listen: none of it comes twice.
  const follower = follow(facts);
  const lag = openLag(follower, now);
  const heads = openHeads(facts, headsMax, now);
  const headsFollowing = follower.listen({ take: heads.follow });
  const secretsFollower = follow(secrets, secretsEnd);
  const secretHeads = openHeads(secrets, secretsMax, now);
  const secretsFollowing = secretsFollower.listen({ take: secretHeads.follow });

  // The order of listening: what is decided is heard before whatever comes after it is told.
  const members = openMembers(follower, now);
  const policies = openPolicies({ log: facts, heads, follower, members, now });
  const notices = openNotices({
    log: facts,
    heads,
    now,
    verify: async (watcher) => await accounts.verification(watcher),
    onTrouble,
  });
  const properties = openPropertyService({
    book: policies.book,
    members,
    witness: notices,
    domain,
    log: facts,
    heads,
    follower,
    now,
    keeper,
    onTrouble,
    onLeaseEnded,
  });
  const plainLook = (caller: Caller): Look => ({ caller, via: "rest", disclosed: nothingDisclosed });
  const groups = openGroups({
    log: facts,
    heads,
    follower,
    members,
    now,
    maySee: (who, group) => properties.access.maySeeMembers(plainLook(who), group, "read"),
    requireOpen: (who, group) => properties.access.requireOpen(plainLook(who), group, ["members"], "read"),
    looked: (who, group) => notices.fetched(plainLook(who), group, ["members"]),
  });
  const { access, reader, nodes } = properties;
  const forwarding = openForwarding({ heads, follower, access, now, onTrouble });
  const accounts = openAccounts({
    domain,
    registration,
    log: secrets,
    heads: secretHeads,
    follower: secretsFollower,
    nodes: {
      ...properties.nodes,
      async remove(address) {
        await groups.leaveAll(address);
        await endAll(subscriptions, address);
        await properties.nodes.remove(address);
      },
    },
    now,
    onEmail: (email, address) => watching.registered(email, address),
    smtp: options.smtp,
    oidc: options.oidc,
    onTrouble,
  });
  const history = openHistory({ log: facts, follower, domain, now });
  const { whoHas } = accounts;
  const standing = openStanding({ access, ...nodes, follower, whoHas });
  const doorkeeper = openDoorkeeper({ access, notices });
  const egress = openEgress({ allowPrivate: options.webhookAllowPrivate ?? false });
  const { hookSecrets } = accounts;
  const hooks = openHooks({ egress, secrets: hookSecrets, domain });
  const hooked = openHooked(follower);
  const subscriptions = openSubscriptions({
    log: facts,
    heads,
    follower,
    now,
    standing,
    forwarding,
    doorkeeper,
    own: reader.own,
    checkQuery: openQuery,
    hooks,
    deliveries: {
      standing: async (one) => await push.standing(one),
      renew: async (one) => await push.renew(one),
    },
    onTrouble,
  });
  const messages = openMessages({
    domain,
    log: facts,
    follower,
    members,
    book: policies.book,
    access,
    forwarding,
    now,
    limits: boxes,
  });
  const watchers = openWatchers({ notices, policies, access, subscriptions });
  const watching = openWatching({
    log: facts,
    follower,
    history,
    subscriptions,
    book: policies.book,
    members,
    visibilities: properties.visibilities,
    forwarding,
    access,
    doorkeeper,
    notices,
    messages,
    standing,
    own: reader.own,
    whoHas,
    settle: properties.settle,
    now,
    onSent,
  });

  const { settle } = properties;
  const explain = openExplain({ log: facts, settle, access, subscriptions, ...watching });
  const directory = openDirectory({
    log: facts,
    follower,
    book: policies.book,
    visibilities: properties.visibilities,
    access,
    reader,
    witness: notices,
    notices,
    domain,
    now,
    onTrouble,
    file: options.directoryFile,
  });

  brokerReadings(meters, {
    leased: properties.leased,
    held: () => messages.held,
    sessions: () => watching.streams,
    position: () => follower.position,
    lagMs: () => lag.ms,
    found: () => directory.position ?? 0,
    tally: watching.tally,
    failing: () => push.failing,
  });

  async function whatAils(): Promise<readonly string[]> {
    const known = ailments();
    if (known.length > 0) return known;
    try {
      await facts.end();
      return [];
    } catch (error) {
      return [`the store does not answer: ${(error as Error).message}`];
    }
  }

  const push = openPush({
    hooked,
    book: policies.book,
    watching,
    history,
    work,
    egress,
    secretsOf: async ({ subscriber, id }) => await hookSecrets.of(subscriber, id),
    now,
    caughtUp: follower.caughtUp,
    onAttempt,
    onTrouble,
    ...options.push,
  });

  const agents = await openAgents({
    domain,
    log: options.work,
    facts: follower,
    work,
    nodes,
    book: policies.book,
    reader,
    writer: properties.writer,
    send: messages.send,
    search: directory.search,
    egress,
    watching,
    subscriptions,
    own: reader.own,
    now,
    onRun,
    onTrouble,
    rateLimit,
    paths: options.agentPaths ?? [],
    allowPrivate: options.webhookAllowPrivate ?? false,
    agentLimits: options.agentLimits,
  });

  const http = await openHttp({
    domain,
    adminToken,
    accounts,
    policies,
    groups,
    forwarding,
    properties,
    watching,
    messages,
    subscriptions,
    agents,
    deliveries: push,
    watchers,
    explain,
    directory,
    origins,
    metrics: meters.registry,
    limits: rateLimit ? limits : undefined,
    now,
    standing,
    ailments: whatAils,
    log,
  });
  // A full disk keeps nobody from reading. Without a term of its own this start is not told apart from the one before.
  await history.begin().catch((error: Error) => onTrouble(`no new term was begun: ${error.message}`));
  await follower.caughtUp();

  return {
    http,
    async [Symbol.asyncDispose]() {
      for (const one of [http, push, agents, work, egress, directory]) await one[Symbol.asyncDispose]();
      for (const one of [watching, messages, subscriptions, hooked, history]) one[Symbol.dispose]();
      await accounts.audit.settled();
      for (const one of [accounts, forwarding]) one[Symbol.dispose]();
      await properties[Symbol.asyncDispose]();
      const rest = [policies, members, notices, headsFollowing, lag, secretsFollowing];
      for (const one of rest) one[Symbol.dispose]();
      await Promise.all([follower[Symbol.asyncDispose](), secretsFollower[Symbol.asyncDispose]()]);
    },
  };
}

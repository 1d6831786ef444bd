// What a broker is opened with.
// In: nothing. Out: a type. Never: a default.
import type { FastifyBaseLogger } from "fastify";
import type { AgentLimits } from "./agents/agents.ts";
import type { Config } from "./config.ts";
import type { Limits } from "./http/quotas.ts";
import type { BoxLimits } from "./messages/messages.ts";
import type { PushDeps } from "./push/push.ts";
import type { Log } from "./store/log.ts";
import type { BeatTimes } from "./work/work.ts";

export interface BrokerOptions extends Pick<Config, "domain" | "registration" | "origins" | "rateLimit"> {
  readonly adminToken: string;
  /** Facts about nodes: what watchers are fed from. */
  readonly facts: Log;
  /** Accounts and token hashes, which nobody is fed. */
  readonly secrets: Log;
  /** What goes on by itself: who does it, and how far it has come. */
  readonly work: Log;
  /** Whether no other broker can be on the same logs. */
  readonly isAlone?: boolean;
  /** How often brokers say that they live; others than usual, for tests. */
  readonly beats?: BeatTimes | undefined;
  readonly now: () => number;
  /** Names this broker in the leases that it grants; unique among the brokers on one log. */
  readonly keeper: string;
  readonly log: FastifyBaseLogger;
  readonly smtp?: Config["smtp"];
  readonly oidc?: Config["oidc"];
  /** Others than usual, for tests. */
  readonly limits?: Limits | undefined;
  /** How many messages may wait; others than usual, for tests. */
  readonly boxes?: BoxLimits | undefined;
  /** Webhooks may lead to loopback and private addresses. */
  readonly webhookAllowPrivate?: boolean | undefined;
  /** Folders and files of agents besides those that are shipped. */
  readonly agentPaths?: readonly string[] | undefined;
  /** How agents are held in check; others than usual, for tests. */
  readonly agentLimits?: AgentLimits | undefined;
  /** When webhooks are tried again, how many at once; others than usual, for tests. */
  readonly push?: Pick<PushDeps, "times" | "room"> | undefined;
  /** Where the directory keeps what it can make again; in memory without it. */
  readonly directoryFile?: string | undefined;
  /** Why the store cannot serve, as far as its keeper knows. */
  readonly ailments?: () => readonly string[];
}

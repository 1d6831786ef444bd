// Triggers: what an agent listens to, as plain data, so that a host can open its watches from it.
// In: what an author asks for. Out: triggers; and of an event, whether one wants it. Never: a check of what was asked (define.ts).
import { compileWhere } from "./cel.ts";
import type {
  AgentEvent,
  MatchEvent,
  MemberEvent,
  MessageReceived,
  PropertyEvent,
  Started,
  WatcherEvent,
} from "./events.ts";
import { covers, type Depth, isWithin } from "./names.ts";
import type { Json } from "./port.ts";

/** `owner`, `contacts` (the owner's), an address, or `config.<key>`: an address or a list of them in the config. */
export type Of = string;

export interface PropertyTrigger<D extends Depth = Depth> {
  readonly on: "property";
  /** Names and patterns. */
  readonly names: readonly string[];
  readonly of: Of;
  /** `1` of a group: its members, as they come and go. */
  readonly depth: D;
  readonly where?: string;
}

export interface MessageTrigger {
  readonly on: "message";
  /** Sent to the owner, or to the agent itself. */
  readonly of: "owner" | "self";
  readonly where?: string;
}

export interface WatcherTrigger {
  readonly on: "watcher";
}

/** A standing query of the directory. */
export interface MatchTrigger {
  readonly on: "match";
  readonly q?: string;
  readonly where?: string;
}

export interface StartedTrigger {
  readonly on: "started";
}

export type Trigger = PropertyTrigger | MessageTrigger | WatcherTrigger | MatchTrigger | StartedTrigger;

/** What a trigger gives its handler. */
export type EventOf<T> =
  T extends PropertyTrigger<infer D>
    ? PropertyEvent | ("0" extends D ? never : D extends "1" ? MemberEvent : never)
    : T extends MessageTrigger
      ? MessageReceived
      : T extends WatcherTrigger
        ? WatcherEvent
        : T extends MatchTrigger
          ? MatchEvent
          : T extends StartedTrigger
            ? Started
            : never;

/** `where` is CEL over `node`, `name`, `value`, `event`, `config` and `now`. */
export function property<D extends Depth = "0">(
  names: string | readonly string[],
  options: { readonly of?: Of; readonly depth?: D; readonly where?: string } = {},
): PropertyTrigger<D> {
  const { of = "owner", depth = "0" as D, where } = options;
  const list = typeof names === "string" ? [names] : names;
  return { on: "property", names: list, of, depth, ...(where !== undefined && { where }) };
}

export function message(
  options: { readonly of?: "owner" | "self"; readonly where?: string } = {},
): MessageTrigger {
  return { on: "message", of: "owner", ...options };
}

/** Whoever wants to know of the owner. */
export function watcher(): WatcherTrigger {
  return { on: "watcher" };
}

/** `q`: words; `where`: CEL over `prop("name")`, `node` and `now`. */
export function match(query: { readonly q?: string; readonly where?: string }): MatchTrigger {
  return { on: "match", ...query };
}

/** Once for each time that the agent is enabled. */
export function started(): StartedTrigger {
  return { on: "started" };
}

/** Who an agent is when it runs. */
export interface Who {
  /** Of this agent as it was set up: tells it from another of the same kind. */
  readonly id: string;
  /** Its own address. */
  readonly node: string;
  /** On whose behalf it runs. */
  readonly owner: string;
  /** Where it is given, events of others do not count as the contacts'. */
  isContact?(address: string): boolean;
}

type Config = { readonly [key: string]: Json };

/** The addresses that a property trigger is about; `contacts` where they are the owner's contacts. */
export function targetsOf(
  { of }: PropertyTrigger,
  config: Config,
  { owner }: Pick<Who, "owner">,
): "contacts" | readonly string[] {
  if (of === "owner") return [owner];
  if (of === "contacts") return of;
  if (!of.startsWith("config.")) return [of];
  const given = config[of.slice("config.".length)];
  const list = Array.isArray(given) ? given : [given];
  return list.filter((one) => typeof one === "string");
}

/** Whether some trigger wants an event. Timers are always wanted: the agent set them. */
export function openTriggers(
  triggers: readonly Trigger[],
  config: Config,
  who: Who,
): (event: AgentEvent, nowMs: number) => boolean {
  const tests = triggers.map((trigger) => testOf(trigger, config, who));
  return (event, nowMs) => event.type === "timer" || tests.some((test) => test(event, nowMs));
}

function testOf(trigger: Trigger, config: Config, who: Who): (event: AgentEvent, nowMs: number) => boolean {
  switch (trigger.on) {
    case "property": {
      const isAbout = aboutOf(trigger, config, who);
      const holds = conditionOf(trigger.where, config);
      return (event, nowMs) => {
        if (event.type === "member.joined" || event.type === "member.left") {
          return trigger.depth === "1" && isAbout(event.node);
        }
        if (event.type !== "property.changed" && event.type !== "property.removed") return false;
        if (!trigger.names.some((pattern) => covers(pattern, event.name))) return false;
        return isAbout(event.node) && holds(event, nowMs);
      };
    }
    case "message": {
      const holds = conditionOf(trigger.where, config);
      return (event, nowMs) => {
        if (event.type !== "message.received") return false;
        const isOwn = isWithin(event.node, who.node, "infinity");
        return isOwn === (trigger.of === "self") && holds(event, nowMs);
      };
    }
    case "watcher":
      return ({ type }) => type.startsWith("watcher.");
    case "match":
      return ({ type }) => type.startsWith("match.");
    case "started":
      return ({ type }) => type === "started";
  }
}

function aboutOf(trigger: PropertyTrigger, config: Config, who: Who): (node: string) => boolean {
  const targets = targetsOf(trigger, config, who);
  const { depth } = trigger;
  if (targets === "contacts") {
    return (node) => {
      const [account = ""] = node.split("/", 1);
      if (isWithin(node, who.owner, "infinity") || isWithin(node, who.node, "infinity")) return false;
      return who.isContact?.(account) ?? true;
    };
  }
  // Groups are child nodes: under one that is watched with depth, members are found anywhere.
  if (depth !== "0" && targets.some((target) => target.includes("/"))) return () => true;
  return (node) => targets.some((target) => isWithin(node, target, depth));
}

function conditionOf(
  where: string | undefined,
  config: Config,
): (event: AgentEvent, nowMs: number) => boolean {
  if (where === undefined) return () => true;
  const holds = compileWhere(where);
  return (event, nowMs) => {
    const { name = null, value = null } = event as { readonly name?: string; readonly value?: Json };
    return holds({ node: event.node, name, value, event: event as unknown as Json, config, nowMs });
  };
}

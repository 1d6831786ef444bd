// The agent API: all that an author needs, in one import: `tidings/agent`.
// In: nothing. Out: what defines an agent, and the types of what it hears and does. Never: what only hosts need.
export { type Static, Type } from "typebox";
export { AgentError } from "./agent-error.ts";
export type { Context, Fetched, FetchOptions, Outgoing, Place, SetOptions } from "./context.ts";
export { type Agent, type Definition, defineAgent } from "./define.ts";
export type {
  AgentEvent,
  MatchEvent,
  MemberEvent,
  Message,
  MessageReceived,
  PropertyChanged,
  PropertyEvent,
  PropertyRemoved,
  Started,
  TimerEvent,
  WatcherEvent,
} from "./events.ts";
export { type FoundNode, type Json, type LeaseWish, PortError, type Property } from "./port.ts";
export { type AgentTest, type Effect, type TestOptions, testAgent } from "./testing.ts";
export { match, message, property, started, type Trigger, watcher } from "./triggers.ts";

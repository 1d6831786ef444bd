// Runtime: an agent with its config, ready to handle events, wherever it runs.
// In: events. Out: handled, or ignored where no trigger wants them. Never: an event that the agent caused itself, unless it asks for it.
import { AgentError } from "./agent-error.ts";
import { openContext } from "./context.ts";
import { type Agent, readConfig } from "./define.ts";
import type { AgentEvent } from "./events.ts";
import { parsePermission, readable } from "./permissions.ts";
import type { Port, Run } from "./port.ts";
import { openTriggers, type Who } from "./triggers.ts";

export interface Runtime {
  /** Rejects with what the handler threw. */
  handle(event: AgentEvent, run: Run, signal: AbortSignal): Promise<"handled" | "ignored">;
}

/**
 * @param config as its owner gave it
 * @param port what it may do: `permitted` makes it hold to its permissions
 * @throws AgentError where the config does not fit
 */
export function openRuntime(agent: Agent, config: unknown, port: Port, who: Who, now: () => number): Runtime {
  const read = readConfig(agent, config);
  if ("problems" in read) {
    const said = read.problems.map(({ pointer, detail }) => `${pointer || "it"} ${detail}`);
    throw new AgentError(`the config of "${agent.name}" does not fit: ${said.join("; ")}`);
  }
  const wants = openTriggers(agent.on, read.config, who);
  const granted = agent.permissions.map(parsePermission);
  return {
    async handle(event, run, signal) {
      if (agent.ignoreSelf !== false && isBy(event, who.node)) return "ignored";
      if (!wants(event, now())) return "ignored";
      const { context, close } = openContext({ port, run, who, config: read.config, signal, now });
      try {
        await agent.handle(shownTo(event, granted), context);
        return "handled";
      } finally {
        close();
      }
    },
  };
}

function shownTo(event: AgentEvent, granted: Parameters<typeof readable>[0]): AgentEvent {
  if (event.type !== "match.entered" && event.type !== "match.left") return event;
  return { ...event, properties: readable(granted, event.properties) };
}

/** Whether the agent did it. Nobody else writes on an agent's own node. */
function isBy(event: AgentEvent, self: string): boolean {
  switch (event.type) {
    case "property.changed":
      return event.by === self;
    case "message.received":
      return event.message.from === self;
    case "member.joined":
    case "member.left":
      return event.member === self;
    case "timer":
    case "started":
      return false;
    case "property.removed":
    case "match.entered":
    case "match.left":
      return event.node === self;
    default:
      return event.watcher === self;
  }
}

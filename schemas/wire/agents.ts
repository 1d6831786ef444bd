// Wire shapes of agents.
// In: nothing. Out: TypeBox schemas. Never: a shape that answers differently from what is documented.
import { type Static, Type } from "typebox";

const Config = Type.Record(Type.String(), Type.Unknown());

const AgentKind = Type.Object({
  agent: Type.String({ description: "Its name." }),
  version: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  permissions: Type.Array(Type.String(), { description: "What it does on behalf of whoever runs it." }),
  config: Type.Unknown({ description: "JSON Schema of its config." }),
  mode: Type.Optional(Type.String({ description: "queued, restart, single or parallel." })),
  broken: Type.Optional(Type.String({ description: "Why it cannot be run." })),
});

export const Agent = Type.Object({
  id: Type.String(),
  agent: Type.String({ description: "What it is an instance of." }),
  version: Type.String({ description: "Of the module, when it was set up." }),
  node: Type.String({ description: "The address that others see it by." }),
  owner: Type.String(),
  config: Type.Unknown(),
  enabled: Type.Boolean(),
  state: Type.Enum(["running", "disabled", "failed"]),
  reason: Type.Optional(Type.String({ description: "Why it failed." })),
  since: Type.String({ description: "RFC 3339" }),
});

export const AgentList = Type.Object({ agents: Type.Array(AgentKind), running: Type.Array(Agent) });

export const AgentPost = Type.Object(
  { agent: Type.String({ maxLength: 63 }), config: Type.Optional(Config) },
  { additionalProperties: false },
);
export type AgentPost = Static<typeof AgentPost>;

export const AgentPatch = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({ description: "true lets one that failed begin again, where it left off." }),
    ),
    config: Type.Optional(Config),
  },
  { additionalProperties: false },
);
export type AgentPatch = Static<typeof AgentPatch>;

export const AgentRuns = Type.Object({
  runs: Type.Array(
    Type.Object({
      id: Type.String({ description: "The event's id." }),
      event: Type.Object({
        id: Type.String(),
        type: Type.String(),
        node: Type.String(),
        subject: Type.Optional(Type.String()),
      }),
      state: Type.Enum(["running", "done", "failed", "dead", "stopped", "dropped"]),
      attempts: Type.Integer(),
      started: Type.String({ description: "RFC 3339" }),
      ms: Type.Integer({ description: "Waits between attempts included." }),
      error: Type.Optional(Type.String()),
      log: Type.Optional(Type.Array(Type.String())),
    }),
  ),
});

export const AgentState = Type.Object({ state: Type.Record(Type.String(), Type.Unknown()) });

export const DeadLetters = Type.Object({
  deadLetters: Type.Array(
    Type.Object({
      run: Type.String(),
      event: Type.Unknown(),
      error: Type.String(),
      attempts: Type.Integer(),
      at: Type.String({ description: "RFC 3339" }),
    }),
  ),
});

export const AgentReplayed = Type.Object({ run: Type.String() });

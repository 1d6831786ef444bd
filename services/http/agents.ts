// /v1/agents: agents that are installed, and those that the caller runs.
// In: HTTP requests. Out: calls to the host, answers. Never: a word about agents of others.
import type { FastifyInstance } from "fastify";
import {
  Agent,
  AgentList,
  AgentPatch,
  AgentPost,
  AgentReplayed,
  AgentRuns,
  AgentState,
  DeadLetters,
} from "../../schemas/wire/agents.ts";
import type { Agents } from "../agents/agents.ts";
import { timestamp } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import type { Principal } from "../core/principal.ts";
import { describe } from "./route.ts";

const tag = "Agents";
const path = "/v1/agents/:id";
const params = { id: "The agent's id." };
type ById = { Params: { id: string } };

export function agentRoutes(app: FastifyInstance, agents: Agents): void {
  app.get(
    "/v1/agents",
    describe({
      id: "listAgents",
      summary: "Agents that are installed here, and those that the caller runs",
      tag,
      access: "account",
      answers: { 200: { description: "Both.", schema: AgentList } },
      refusals: ["scope-missing"],
    }),
    async ({ caller }) => ({ agents: await agents.kinds(), running: await agents.list(caller as Principal) }),
  );

  app.post<{ Body: AgentPost }>(
    "/v1/agents",
    describe({
      id: "runAgent",
      summary: "Run an agent as the caller, with the permissions that it declares",
      description:
        "It watches and acts in its own name, on behalf of the caller, and never more than the caller may itself.",
      tag,
      access: "account",
      body: AgentPost,
      answers: { 201: { description: "It runs.", schema: Agent } },
      refusals: ["scope-missing", "storage-full", "too-many-agents", "value-invalid"],
    }),
    async ({ caller, body: { agent, config = {} } }, reply) =>
      reply.code(201).send(await agents.start(caller as Principal, agent, config as Json)),
  );

  app.get<ById>(
    path,
    describe({
      id: "getAgent",
      summary: "One of the caller's agents",
      tag,
      access: "account",
      params,
      answers: { 200: { description: "As it is now.", schema: Agent } },
      refusals: ["not-found", "scope-missing"],
    }),
    async ({ caller, params: { id } }) => await agents.get(caller as Principal, id),
  );

  app.patch<ById & { Body: AgentPatch }>(
    path,
    describe({
      id: "changeAgent",
      summary: "Enable or disable an agent, or give it another config",
      tag,
      access: "account",
      params,
      body: AgentPatch,
      answers: { 200: { description: "As it is now.", schema: Agent } },
      refusals: ["not-found", "scope-missing", "storage-full", "value-invalid"],
    }),
    async ({ caller, params: { id }, body: { enabled, config } }) =>
      await agents.change(caller as Principal, id, {
        ...(enabled !== undefined && { enabled }),
        ...(config !== undefined && { config: config as Json }),
      }),
  );

  app.delete<ById>(
    path,
    describe({
      id: "removeAgent",
      summary: "End an agent, with all that it keeps",
      tag,
      access: "account",
      params,
      answers: { 204: { description: "Ended, or it was not there.", schema: null } },
      refusals: ["scope-missing", "storage-full"],
    }),
    async ({ caller, params: { id } }, reply) => {
      await agents.remove(caller as Principal, id);
      return reply.code(204).send();
    },
  );

  app.get<ById>(
    `${path}/runs`,
    describe({
      id: "listRuns",
      summary: "What an agent did last, newest first",
      tag,
      access: "account",
      params,
      answers: { 200: { description: "The last 50 runs, and those that are on.", schema: AgentRuns } },
      refusals: ["not-found", "scope-missing"],
    }),
    async ({ caller, params: { id } }) => ({ runs: await agents.runs(caller as Principal, id) }),
  );

  app.get<ById>(
    `${path}/state`,
    describe({
      id: "getAgentState",
      summary: "What an agent keeps from run to run",
      tag,
      access: "account",
      params,
      answers: { 200: { description: "By key.", schema: AgentState } },
      refusals: ["not-found", "scope-missing"],
    }),
    async ({ caller, params: { id } }) => ({ state: await agents.state(caller as Principal, id) }),
  );

  app.get<ById>(
    `${path}/dead-letters`,
    describe({
      id: "listDeadLetters",
      summary: "Events that an agent could not handle, newest first",
      tag,
      access: "account",
      params,
      answers: { 200: { description: "Kept for 30 days.", schema: DeadLetters } },
      refusals: ["not-found", "scope-missing"],
    }),
    async ({ caller, params: { id } }) => ({
      deadLetters: (await agents.deadLetters(caller as Principal, id)).map(({ atMs, ...letter }) => ({
        ...letter,
        at: timestamp(atMs),
      })),
    }),
  );

  app.post<{ Params: { id: string; run: string } }>(
    `${path}/runs/:run/replay`,
    describe({
      id: "replayRun",
      summary: "Handle an event of the dead letters once more",
      description: "Steps that the agent remembers are not done again.",
      tag,
      access: "account",
      params: { ...params, run: "The run's id, as the dead letters name it." },
      answers: { 202: { description: "It will be.", schema: AgentReplayed } },
      refusals: ["not-found", "scope-missing", "storage-full"],
    }),
    async ({ caller, params: { id, run } }, reply) => {
      await agents.replay(caller as Principal, id, run);
      return reply.code(202).send({ run });
    },
  );
}

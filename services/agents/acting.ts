// Acting: what an agent may do here, in its own name and on behalf of its owner.
// In: calls of its runs. Out: the services' answers. Never: more than its owner may do, or a second effect for one key.

import { type Calls, type Port, PortError, type Run } from "../../agents/port.ts";
import { type Address, parseAddress, parsePropertyName } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import type { Principal } from "../core/principal.ts";
import { rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Search } from "../directory/directory.ts";
import { type Egress, type Gate, NoAnswer } from "../egress/egress.ts";
import type { Messages } from "../messages/messages.ts";
import { type Look, nothingDisclosed, type PropertyService } from "../property/properties.ts";
import { type Keeping, KeepsTooMuch } from "./keeping.ts";
import { TooManyTimers } from "./kept-timers.ts";
import type { Pace } from "./pace.ts";
import type { Timers } from "./timers.ts";

export interface ActingDeps {
  readonly principal: Principal;
  readonly node: Address;
  readonly reader: Pick<PropertyService["reader"], "property">;
  readonly writer: Pick<PropertyService["writer"], "set" | "remove">;
  readonly send: Messages["send"];
  readonly search: Search;
  readonly egress: Pick<Egress, "request">;
  readonly keeping: Keeping;
  readonly pace: Pace;
  /** For requests to the outside. */
  readonly gate: Gate;
  readonly timers: Pick<Timers, "set" | "cancel">;
  readonly onLog: (run: Run, line: Calls["log"]["takes"]) => void;
  /** Aborted when the agent acts no more. */
  readonly signal: AbortSignal;
}

const fetchMs = 20_000;
const fetchBytesMax = 1024 * 1024;

export function openActing(deps: ActingDeps): Port {
  const { principal, node, reader, writer, keeping, egress, gate, signal } = deps;

  /** On its own node an agent needs no permission to read. */
  function lookAt(at: Address): Look {
    const isOwn = at.text === node.text || at.text.startsWith(`${node.text}/`);
    const caller = isOwn ? { ...principal, scopes: rights } : principal;
    return { caller, via: "agent", disclosed: nothingDisclosed };
  }

  const acts: {
    readonly [Call in keyof Calls]: (run: Run, takes: Calls[Call]["takes"]) => Promise<Calls[Call]["gives"]>;
  } = {
    async get(_, { node: at, name }) {
      const address = parseAddress(at);
      try {
        return await reader.property(lookAt(address), address, parsePropertyName(name));
      } catch (error) {
        if (error instanceof Refusal && error.code === "not-found") return undefined;
        throw error;
      }
    },
    async set(run, { node: at, name, value, lease, view, ifMatch, key }) {
      const { property } = await writer.set(
        principal,
        parseAddress(at),
        parsePropertyName(name),
        { value: value as Json, lease: lease as never, view },
        {
          once: { key, request: JSON.stringify([at, name, value, lease, view]) },
          condition: ifMatch === undefined ? undefined : { revision: ifMatch },
          cause: { hops: run.hops + 1 },
        },
      );
      return { revision: property.revision };
    },
    async remove(run, { node: at, name, key }) {
      const terms = { once: { key, request: `${at} ${name}` }, cause: { hops: run.hops + 1 } };
      await writer.remove(principal, parseAddress(at), parsePropertyName(name), undefined, terms);
      return undefined;
    },
    async send(run, { to, contentType = "text/plain; charset=utf-8", content, expiresIn, key }) {
      const request = JSON.stringify([to, contentType, content, expiresIn]);
      const fields = { contentType, content, expiresIn };
      return await deps.send(principal, parseAddress(to), fields, {
        once: { key, request },
        hops: run.hops + 1,
      });
    },
    async find(_, { q, where, limit }) {
      const look = { caller: principal, via: "agent", disclosed: nothingDisclosed };
      return (await deps.search(look, { q, where, limit })).nodes;
    },
    async fetch(run, { url, method = "GET", headers = {}, body }) {
      const told = { ...headers, "tidings-hops": String(run.hops + 1) };
      const limits = { timeoutMs: fetchMs, bytesMax: fetchBytesMax };
      const leave = await gate.enter(principal.address.text, signal);
      if (leave === undefined) throw new PortError("unavailable", "The agent is stopped.");
      try {
        const answer = await egress.request({ url, method, headers: told, body, signal, ...limits });
        return { status: answer.status, headers: answer.headers, body: answer.body.toString("utf8") };
      } finally {
        leave();
      }
    },
    recallState: async (_, { key }) => await keeping.state(key),
    async keepState(_, { key, value }) {
      await keeping.keepState(key, value as Json | undefined);
      return undefined;
    },
    recallStep: async (run, { name }) => await keeping.step(run.id, name),
    async keepStep(run, { name, value }) {
      await keeping.keepStep(run.id, name, value as Json);
      return undefined;
    },
    async setTimer(_, { name, dueMs, data, key }) {
      await deps.timers.set({ name, dueMs, data: data as Json, key });
      return undefined;
    },
    async cancelTimer(_, { name }) {
      await deps.timers.cancel(name);
      return undefined;
    },
    async log(run, line) {
      deps.onLog(run, line);
      return undefined;
    },
  };

  return async (run, call, takes) => {
    if (signal.aborted) throw new PortError("unavailable", "The agent is stopped.");
    try {
      await deps.pace(principal.address.text, call, signal);
      return (await acts[call](run, takes as never)) as never;
    } catch (error) {
      throw portErrorOf(error);
    }
  };
}

function portErrorOf(error: unknown): PortError {
  if (error instanceof PortError) return error;
  if (error instanceof Refusal) return new PortError(error.code, error.message);
  if (error instanceof NoAnswer) return new PortError(`fetch-${error.why}`, error.message);
  if (error instanceof KeepsTooMuch || error instanceof TooManyTimers)
    return new PortError("keeps-too-much", error.message);
  return new PortError("unavailable", `The broker cannot do this now: ${(error as Error).message}`);
}

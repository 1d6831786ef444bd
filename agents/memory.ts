// A broker in memory, as far as an agent sees it: what `testAgent` runs an agent against.
// In: calls of the port. Out: answers, and every effect in order. Never: a second effect for one key, or a wait.
import { compileQuery } from "./cel.ts";
import type { PropertyChanged, PropertyRemoved } from "./events.ts";
import {
  type Calls,
  type FetchAnswer,
  type FetchWish,
  type Json,
  type LeaseWish,
  type LogLevel,
  type Port,
  PortError,
  type Property,
} from "./port.ts";

export type Effect =
  | {
      readonly type: "set";
      readonly node: string;
      readonly name: string;
      readonly value: Json;
      readonly lease?: LeaseWish;
      readonly view?: string;
    }
  | { readonly type: "remove"; readonly node: string; readonly name: string }
  | { readonly type: "message"; readonly to: string; readonly content: string; readonly contentType: string }
  | { readonly type: "fetch"; readonly method: string; readonly url: string; readonly body?: string }
  | { readonly type: "timer"; readonly name: string; readonly dueMs: number; readonly data: Json }
  | { readonly type: "cancel"; readonly name: string }
  | { readonly type: "log"; readonly level: LogLevel; readonly text: string };

export interface Timer {
  readonly name: string;
  readonly dueMs: number;
  readonly data: Json;
  readonly hops: number;
}

export interface MemoryOptions {
  /** The agent's own address, by which it writes. */
  readonly self: string;
  readonly nodes: { readonly [address: string]: { readonly [name: string]: Json } };
  now(): number;
  fetch(wish: FetchWish): Partial<FetchAnswer> | Promise<Partial<FetchAnswer>>;
  /** After a step's result is kept; what it throws is what the agent gets. */
  onStep(name: string): void;
}

export interface Memory {
  readonly port: Port;
  readonly effects: Effect[];
  readonly state: Map<string, Json>;
  readonly timers: Map<string, Timer>;
  /** The values of a node by name. */
  node(address: string): { [name: string]: Json };
  put(node: string, name: string, value: Json, by: string, lease?: LeaseWish): Property;
  /** @returns the revision of the removal */
  drop(node: string, name: string): number;
  /** When the first lease ends. */
  readonly leaseEndsMs: number | undefined;
  /** Ends the leases that are over, and says what became of each property. */
  expire(): (Said<PropertyChanged> | Said<PropertyRemoved>)[];
}

type Said<Event> = Omit<Event, "id" | "time" | "hops">;

interface Kept extends Property {
  readonly lease?: Property["lease"] & { readonly default?: Json };
}

export function openMemory({ self, nodes, now, fetch, onStep }: MemoryOptions): Memory {
  const effects: Effect[] = [];
  const state = new Map<string, Json>();
  const timers = new Map<string, Timer>();
  /** The key of the call that set the last timer of a name. */
  const setBy = new Map<string, string>();
  const properties = new Map<string, Kept>();
  const steps = new Map<string, Json>();
  const done = new Map<string, { readonly asked: string; readonly gives: unknown }>();
  const said = new Set<string>();
  let revision = 0;

  function put(node: string, name: string, value: Json, by: string, lease?: LeaseWish): Property {
    const untilMs = lease && now() + lease.seconds * 1000;
    const property: Kept = {
      node,
      name,
      value,
      revision: ++revision,
      updated: new Date(now()).toISOString(),
      by,
      ...(lease && {
        lease: { ...lease, id: lease.id ?? `lease-${revision}`, until: new Date(untilMs ?? 0).toISOString() },
      }),
    };
    properties.set(placeOf(node, name), property);
    return property;
  }
  for (const [node, values] of Object.entries(nodes)) {
    for (const [name, value] of Object.entries(values)) put(node, name, value, node);
  }

  const endOf = ({ lease }: Kept) => (lease ? Date.parse(lease.until) : undefined);
  const reached = () => [...properties.values()].filter((one) => (endOf(one) ?? Infinity) <= now());

  /** Once for one key, as the broker's store has it. */
  async function once<Gives>(takes: { readonly key: string }, does: () => Gives): Promise<Gives> {
    const asked = JSON.stringify(takes);
    const before = done.get(takes.key);
    if (before && before.asked !== asked) {
      throw new PortError(
        "idempotency-mismatch",
        "The event was told again, and the same effect has another content now: do it in a step.",
      );
    }
    if (before) return before.gives as Gives;
    const gives = does();
    done.set(takes.key, { asked, gives });
    return gives;
  }

  /** What has no key: the same again in the same run is told once. */
  function tellOnce(run: string, effect: Effect): void {
    const mark = JSON.stringify([run, effect]);
    if (said.has(mark)) return;
    said.add(mark);
    effects.push(effect);
  }

  const answer: {
    readonly [Call in keyof Calls]: (
      takes: Calls[Call]["takes"],
      run: { readonly id: string; readonly hops: number },
    ) => Calls[Call]["gives"] | Promise<Calls[Call]["gives"]>;
  } = {
    get: ({ node, name }) => properties.get(placeOf(node, name)),
    set: (takes) =>
      once(takes, () => {
        const { node, name, value, lease, view, ifMatch } = takes;
        const there = properties.get(placeOf(node, name))?.revision ?? 0;
        if (ifMatch !== undefined && ifMatch !== there) {
          throw new PortError("revision-mismatch", `It has revision ${there}, not ${ifMatch}.`);
        }
        effects.push({ type: "set", node, name, value, ...(lease && { lease }), ...(view && { view }) });
        return { revision: put(node, name, value, self, lease).revision };
      }),
    remove: (takes) =>
      once(takes, () => {
        const { node, name } = takes;
        effects.push({ type: "remove", node, name });
        properties.delete(placeOf(node, name));
        return undefined;
      }),
    send: (takes) =>
      once(takes, () => {
        const { to, content, contentType = "text/plain; charset=utf-8" } = takes;
        effects.push({ type: "message", to, content, contentType });
        return { id: `message-${effects.length}` };
      }),
    find: ({ q = "", where, limit = 20 }) => {
      const holds = where === undefined ? () => true : compileQuery(where);
      const words = q.toLowerCase().split(/\s+/).filter(Boolean);
      const found = new Map<string, Record<string, Property>>();
      for (const property of properties.values()) {
        const of = found.get(property.node) ?? {};
        of[property.name] = property;
        found.set(property.node, of);
      }
      return [...found]
        .filter(([address]) => {
          const values = valuesOf(address);
          const text = JSON.stringify([address, values]).toLowerCase();
          return words.every((word) => text.includes(word)) && holds(address, values, now());
        })
        .slice(0, limit)
        .map(([address, of]) => ({ address, properties: of }));
    },
    fetch: async (wish) => {
      const { url, method = "GET", body } = wish;
      effects.push({ type: "fetch", method, url, ...(body !== undefined && { body }) });
      return { status: 200, headers: {}, body: "", ...(await fetch(wish)) };
    },
    recallState: ({ key }) => state.get(key),
    keepState({ key, value }) {
      if (value === undefined) state.delete(key);
      else state.set(key, value);
      return undefined;
    },
    recallStep({ name }, { id }) {
      const value = steps.get(`${id} ${name}`);
      return value === undefined ? undefined : { value };
    },
    keepStep({ name, value }, { id }) {
      steps.set(`${id} ${name}`, value);
      onStep(name);
      return undefined;
    },
    setTimer({ key, ...timer }, { id, hops }) {
      if (setBy.get(timer.name) === key) return undefined;
      setBy.set(timer.name, key);
      timers.set(timer.name, { ...timer, hops });
      tellOnce(id, { type: "timer", ...timer });
      return undefined;
    },
    cancelTimer({ name }, { id }) {
      setBy.delete(name);
      if (timers.delete(name)) tellOnce(id, { type: "cancel", name });
      return undefined;
    },
    log({ level, text }, { id }) {
      tellOnce(id, { type: "log", level, text });
      return undefined;
    },
  };

  function valuesOf(address: string): { [name: string]: Json } {
    const of = [...properties.values()].filter(({ node }) => node === address);
    return Object.fromEntries(of.map(({ name, value }) => [name, value]));
  }

  return {
    port: async (run, call, takes) => structuredClone(await answer[call](takes, run)),
    effects,
    state,
    timers,
    node: valuesOf,
    put,
    drop(node, name) {
      properties.delete(placeOf(node, name));
      return ++revision;
    },
    get leaseEndsMs() {
      const ends = [...properties.values()].map((one) => endOf(one) ?? Infinity);
      const first = Math.min(...ends);
      return first === Infinity ? undefined : first;
    },
    expire: () =>
      reached().map(({ node, name, lease, by }) => {
        if (lease?.default === undefined) {
          properties.delete(placeOf(node, name));
          return { type: "property.removed", node, name, revision: ++revision, reason: "expired" };
        }
        const after = put(node, name, lease.default, by);
        return { type: "property.changed", node, name, value: after.value, revision, by, reason: "expired" };
      }),
  };
}

function placeOf(node: string, name: string): string {
  return `${node} ${name}`;
}

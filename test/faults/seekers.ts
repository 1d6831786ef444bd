// Seekers: whom an owner blocks, watching over every transport, cut off and back with their cursor at random moments, and reading meanwhile.
// In: brokers, a token, a node, a wall that judges. Out: what each of them knows, in the end and at any time. Never: a cursor forgotten, or an event that was not judged.
import { setTimeout as delay } from "node:timers/promises";
import type { CloudEvent } from "../conversations/event-stream.ts";
import { nodePath, propertyPath } from "../conversations/person.ts";
import { openSocket } from "../conversations/socket.ts";
import type { Random } from "../simulation/random.ts";
import type { Hand } from "./hand.ts";
import type { Found, Where } from "./targets.ts";
import { type Connection, type Told, transports, type Visit } from "./transports.ts";
import type { Wall } from "./wall.ts";

export interface Seeker extends AsyncDisposable {
  readonly how: string;
  /** The number of each property that it was last told of, unless it was told that it is gone. */
  readonly known: ReadonlyMap<string, number>;
  readonly visits: number;
  /** Breaks its connection; it comes back at once. */
  cut(): void;
}

export interface Sought {
  readonly brokers: readonly Where[];
  readonly token: string;
  readonly node: string;
  readonly wall: Wall;
}

/** Somebody blocked asks again, but not in a frenzy. */
const refusedDelayMs = 10;

/** The ways to be told. `frame` says what it watches, and from where on, in a frame of its own. */
export const ways = { sse: transports.sse, poll: transports.poll, socket: transports.socket, frame } as const;

async function frame({ url, token, watch, after }: Visit): Promise<Connection> {
  const socket = await openSocket(url, { token });
  // Its cursor says where a reader is that watches nothing.
  await socket.hears("stream.live");
  const { problem } = await socket.asks("watch", { target: watch, ...(after !== undefined && { after }) });
  if (problem === undefined) return socket;
  await socket[Symbol.asyncDispose]();
  throw Object.assign(new Error(problem.detail), { status: problem.status });
}

/** @param watch undefined: what its account's subscriptions bring */
export function seek(
  { brokers, token, wall }: Sought,
  way: keyof typeof ways,
  watch: string | undefined,
  random: Random,
): Seeker {
  const known = new Map<string, number>();
  /** The highest revision that a value was told with. */
  const highest = new Map<string, number>();
  const how = `${way}${watch === undefined ? " by subscription" : ""}`;
  let connection: Connection | undefined;
  let cursor: string | undefined;
  let visits = 0;
  let stopping = false;

  function take(told: Told): void {
    const { type = "", data = {} } = (told.event ?? {}) as Partial<CloudEvent>;
    if (type.endsWith("property.changed") || type.endsWith("property.removed"))
      property(type, data as Found & Named);
    // What was known is to be forgotten; or ends with what brought it.
    else if (type.endsWith("stream.reset") || type.endsWith("subscription.ended")) known.clear();
    cursor = told.cursor ?? cursor;
    if (way === "frame" && type.endsWith("subscription.ended")) cut();
  }

  function property(type: string, { name, revision, value }: Found & Named): void {
    const before = highest.get(name) ?? 0;
    if (type.endsWith("removed")) {
      // Of what was written meanwhile nobody knows any more which revision its reader had.
      if (revision <= before && !wall.hides(name))
        wall.wrong.push(`${how}: the end of ${name} at ${revision} came after ${before}`);
      known.delete(name);
      return;
    }
    wall.shows(name, value.n, how);
    if (revision < before) wall.wrong.push(`${how}: ${name} at ${revision} came after ${before}`);
    highest.set(name, revision);
    known.set(name, value.n);
  }

  async function visit(): Promise<void> {
    visits++;
    const { url } = random.pick(brokers);
    const open = ways[way] as (visit: Visit) => Promise<Connection>;
    await using opened = await open({ url, token, watch, after: cursor });
    connection = opened;
    while (!stopping) take(await opened.next());
  }

  async function listen(): Promise<void> {
    while (!stopping) {
      try {
        await visit();
      } catch (error) {
        const { status } = error as { status?: number };
        connection = undefined;
        if (status === undefined) continue;
        await delay(refusedDelayMs);
        // Whoever is told that it is blocked knows that nothing is there for it.
        if (status === 403) known.clear();
        else if (status !== 503) wall.wrong.push(`${how} with ${cursor}: ${(error as Error).message}`);
      }
    }
  }

  function cut(): void {
    void connection?.[Symbol.asyncDispose]();
  }

  const listening = listen();
  return {
    how,
    known,
    get visits() {
      return visits;
    },
    cut,
    async [Symbol.asyncDispose]() {
      stopping = true;
      cut();
      await listening;
    },
  };
}

interface Named {
  readonly name: string;
}

/** @returns what reads the node, or the property of it that was written last */
export function peek({ node, wall }: Sought, hand: Hand, random: Random): () => Promise<void> {
  return async () => {
    const name = random.chance(0.6) ? wall.newest : "";
    const path = name === "" ? nodePath(node) : propertyPath(node, name);
    const { status, body } = await hand.asks("GET", path);
    if (![200, 403, 404, 503].includes(status)) wall.wrong.push(`GET ${path}: ${status} ${body}`);
    if (status !== 200) return;
    const found: Record<string, Found> =
      name === "" ? JSON.parse(body).properties : { [name]: JSON.parse(body) };
    for (const [of, { value }] of Object.entries(found)) wall.shows(of, value.n, `GET ${name || "node"}`);
  };
}

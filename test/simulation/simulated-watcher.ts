// A watching client: joins, reads when it feels like it, loses its stream in the middle, comes back with its cursor.
// In: deliveries of a watching session. Out: violations of P3, P4, P5 and P6. Never: more knowledge than the stream gave it.
import type { Address } from "../../services/core/address.ts";
import { type Cursor, parseCursor } from "../../services/core/cursor.ts";
import type { Principal } from "../../services/core/principal.ts";
import { LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { factsOfNode, placeOf, subjectOf } from "../../services/store/subjects.ts";
import type { Delivery, Watcher } from "../../services/watch/watching.ts";
import { same, seen } from "./property-model.ts";
import type { SimulatedBroker } from "./simulated-broker.ts";
import type { Truth } from "./truth.ts";

export interface SimulatedWatcher {
  /** Joins through this broker, or resumes where it was cut. */
  join(broker: SimulatedBroker): void;
  /** Takes what is there. */
  read(): void;
  /** Gets the first `part` (0 to 1) of what is there, then the stream is gone. */
  cut(part: number): void;
  /** After everything was delivered: it knows what the log holds. */
  requireComplete(): void;
  readonly broker: SimulatedBroker | undefined;
  readonly deliveries: number;
}

interface Known {
  readonly revision: number;
  readonly id: string;
  /** Undefined: it was removed. */
  readonly value: unknown;
}

interface Stream {
  readonly broker: SimulatedBroker;
  readonly joinedMs: number;
  watcher: Watcher | undefined;
  live: boolean;
  reset: boolean;
  /** Revisions that this stream brought since it was live. */
  readonly brought: Map<string, number>;
  closed: boolean;
}

export function openSimulatedWatcher(
  who: Principal,
  nodes: readonly Address[],
  truth: Truth,
  now: () => number,
  violate: (message: string) => void,
): SimulatedWatcher {
  const prefixes = nodes.map((node) => factsOfNode(node, "property").slice(0, -1));
  const known = new Map<string, Known>();
  let stream: Stream | undefined;
  let cursor: Cursor | undefined;
  let deliveries = 0;

  function join(broker: SimulatedBroker): void {
    cut(0);
    if (cursor === undefined) known.clear();
    const opening: Stream = {
      broker,
      joinedMs: now(),
      watcher: undefined,
      live: false,
      reset: false,
      brought: new Map(),
      closed: false,
    };
    stream = opening;
    const targets = nodes.map((node) => ({ node, depth: "0" as const, properties: [] }));
    // Like a transport whose socket has room: an empty session is asked for more of the snapshot at once.
    const onReady = (): void => {
      if (!opening.closed && opening.watcher?.waiting === 0) read();
    };
    broker.watching.open({ caller: who, via: "sse", targets, own: false, after: cursor, onReady }).then(
      (watcher) => {
        if (opening.closed) watcher[Symbol.dispose]();
        else opening.watcher = watcher;
      },
      (error) => {
        if (stream === opening) stream = undefined;
        if (error instanceof LogUnavailable || error instanceof OutcomeUnknown) return;
        violate(`P5: ${who.address.text} cannot watch after ${cursor?.position}: ${error}`);
      },
    );
  }

  function read(): void {
    for (;;) {
      const deliveries = stream?.watcher?.take() ?? [];
      if (deliveries.length === 0) return;
      for (const delivery of deliveries) take(delivery, stream as Stream);
    }
  }

  function cut(part: number): void {
    if (stream === undefined) return;
    const waiting = stream.watcher?.take() ?? [];
    for (const delivery of waiting.slice(0, Math.floor(waiting.length * part))) take(delivery, stream);
    stream.closed = true;
    stream.watcher?.[Symbol.dispose]();
    stream = undefined;
  }

  function take({ shared, cursor: told, skipped }: Delivery, from: Stream): void {
    const { event } = shared;
    deliveries++;
    cursor = parseCursor(told);
    if (event.type.endsWith("stream.reset")) {
      known.clear();
      from.reset = true;
    }
    if (event.type.endsWith("stream.live")) from.live = true;
    if (event.subject !== undefined) learn(event.subject, event.id, event.data, skipped, from);
    // Until a reset is through, whoever comes back is reset again.
    if (from.live || !from.reset) requireTold(cursor.position, shared.json);
  }

  /** P5: whoever comes back with this cursor misses nothing. */
  function requireTold(position: number, json: string): void {
    for (const subject of subjects()) {
      const [held, ...later] = truth.since(subject, position);
      const revision = held?.state?.revision ?? 0;
      // Something newer is on its way: the reader may be spared this one, or is told of it then.
      if (later.length > 0) continue;
      const told = known.get(subject)?.revision ?? 0;
      if (told >= revision || (told === 0 && seen(held?.state) === undefined)) continue;
      violate(
        `P5: the cursor ${position} passes over ${revision} of ${subject}, told up to ${told}: ${json}`,
      );
    }
  }

  function subjects(): readonly string[] {
    return [...truth.states.keys()].filter((subject) =>
      prefixes.some((prefix) => subject.startsWith(prefix)),
    );
  }

  function learn(
    name: string,
    id: string,
    data: { readonly [key: string]: unknown },
    skipped: number,
    from: Stream,
  ): void {
    const node = nodes.find(({ text }) => text === data.node);
    if (node === undefined) {
      violate(`an event of a node that nobody watches: ${id}`);
      return;
    }
    const subject = subjectOf(node, "property", name);
    const revision = data.revision as number;
    const before = known.get(subject);
    const complain = (what: string): void =>
      violate(
        `${what}: ${subject} ${JSON.stringify(data)} after ${JSON.stringify(before)} through ${from.broker.keeper}`,
      );
    if (before && revision < before.revision) complain("P4: a step back");
    if (before?.revision === revision && before.id !== id) complain("P4: a redelivery with another id");
    const brought = from.brought.get(subject);
    if (brought !== undefined && revision <= brought) complain("P4: the same again in one stream");
    const truly = truth.revision(subject, revision);
    if (truly === undefined) complain("P2: a revision that never was");
    else if (!same(truly.view?.value, data.value))
      complain(`P2: not what stood there, ${JSON.stringify(truly)}`);
    const lease = data.lease as { until: string } | undefined;
    if (lease && !from.live && Date.parse(lease.until) <= from.joinedMs)
      complain("P8: a snapshot of what was over");
    if (brought !== undefined) {
      const missed = truth.between(subject, brought, revision);
      if (missed !== skipped) complain(`P3: ${missed} revisions were left out, ${skipped} declared`);
    }
    if (from.live) from.brought.set(subject, revision);
    known.set(subject, { revision, id, value: data.value });
  }

  function requireComplete(): void {
    read();
    if (stream?.watcher === undefined) {
      violate(`${who.address.text} has no stream`);
      return;
    }
    if (!stream.live) violate(`P6: the stream of ${who.address.text} never went live`);
    for (const subject of subjects()) {
      const state = truth.states.get(subject);
      const view = seen(state);
      const told = known.get(subject);
      if (same(told?.value, view?.value) && (view === undefined || told?.revision === state?.revision))
        continue;
      violate(
        `P3: ${who.address.text} through ${stream.broker.keeper} knows ${placeOf(subject).name} as ` +
          `${JSON.stringify(told)}, but it is ${JSON.stringify(view)} at ${state?.revision}`,
      );
    }
  }

  return {
    join,
    read,
    cut,
    requireComplete,
    get broker() {
      return stream?.broker;
    },
    get deliveries() {
      return deliveries;
    },
  };
}

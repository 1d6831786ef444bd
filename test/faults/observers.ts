// Observers of a campaign: readers who look at nodes while they are written, and a watcher who comes back after each break.
// In: where the broker is, what to look at. Out: what they saw that nobody may see. Never: a retry that hides a hole.
import { setTimeout as delay } from "node:timers/promises";
import { type Line, openLine, requestBytes } from "../../bench/lean-http.ts";
import { type CloudEvent, openEventStream } from "../conversations/event-stream.ts";
import { nodePath } from "../conversations/person.ts";
import type { Answered } from "./load.ts";
import { type Entry, type Found, type Owner, portOf, read, type Target, type Where } from "./targets.ts";

const retryDelayMs = 25;
const readEveryMs = 10;

export interface Readers {
  readonly answers: readonly Answered[];
  readonly wrong: readonly string[];
  stop(): Promise<void>;
}

/** Reads nodes again and again: what is written together has one number, and nothing is older than acknowledged before the read. */
export function readNodes(at: Where, { token }: Owner, targets: readonly Target[]): Readers {
  const wrong: string[] = [];
  const answers: Answered[] = [];
  let stopping = false;

  async function look({ node, turns }: Target): Promise<void> {
    const request = requestBytes({ method: "GET", path: nodePath(node), token });
    let line: Line | undefined;
    while (!stopping) {
      const acked = turns.map(([first]) => first?.acked ?? 0);
      const sentMs = performance.now();
      try {
        line ??= await openLine(portOf(at));
        const { status, head, body } = await line.send(request);
        answers.push({ status, sentMs, tookMs: performance.now() - sentMs });
        if (status === 200) {
          const found = JSON.parse(body).properties;
          for (const [index, turn] of turns.entries()) judge(turn, acked[index] as number, found);
        } else if (status !== 503 || !/\r\nretry-after: \d+/i.test(head))
          wrong.push(`GET ${node}: ${status} ${body}`);
      } catch {
        // The broker is being killed, or not yet back: the load says so if it was not meant to be.
        line?.[Symbol.dispose]();
        line = undefined;
      }
      await delay(readEveryMs);
    }
    line?.[Symbol.dispose]();
  }

  function judge(turn: readonly Entry[], acked: number, found: Readonly<Record<string, Found>>): void {
    const numbers = turn.map(({ name }) => found[name]?.value.n ?? 0);
    const [n = 0] = numbers;
    const what = `${turn[0]?.node} ${turn.map(({ name }) => name)}`;
    if (numbers.some((other) => other !== n)) wrong.push(`${what} by half: ${numbers}`);
    else if (n < acked) wrong.push(`${what}: ${n} read after the ack of ${acked}`);
  }

  const reading = Promise.all(targets.map(look));
  return {
    wrong,
    answers,
    async stop() {
      stopping = true;
      await reading;
    },
  };
}

export interface HeardLast {
  readonly n: number;
  readonly revision: number;
  readonly id: string;
}

export interface Watcher {
  /** The last that was heard of each property, by `<node> <name>`. */
  readonly heard: ReadonlyMap<string, HeardLast>;
  readonly events: number;
  /** Streams that were opened, the first among them. */
  readonly streams: number;
  /** Steps back, values that nobody sent, resets. */
  readonly wrong: readonly string[];
  stop(): Promise<void>;
}

/** Watches these targets over one stream and comes back with Last-Event-ID whenever it ends. */
export function watch(at: Where, { token }: Owner, targets: readonly Target[]): Watcher {
  const query = new URLSearchParams(targets.map(({ node }): [string, string] => ["watch", node]));
  const attempts = new Map(
    targets.flatMap(({ turns }) => turns.flat()).map((entry) => [`${entry.node} ${entry.name}`, entry]),
  );
  const heard = new Map<string, HeardLast>();
  const wrong: string[] = [];
  let events = 0;
  let streams = 0;
  let cursor: string | undefined;
  let close: (() => Promise<void>) | undefined;
  let stopping = false;

  function take({ id, type, data }: CloudEvent): void {
    if (type === "dev.tidings.stream.live") return;
    if (type !== "dev.tidings.property.changed") return void wrong.push(`${type}: ${JSON.stringify(data)}`);
    events++;
    const { revision, value } = data as Found;
    const key = `${data.node} ${data.name}`;
    const { n } = value;
    const before = heard.get(key);
    if (before !== undefined) {
      const again = revision === before.revision && n === before.n && id === before.id;
      if (!again && (revision <= before.revision || n <= before.n))
        wrong.push(`${key}: ${n} at ${revision} came after ${before.n} at ${before.revision}`);
    }
    if (n > (attempts.get(key)?.attempted ?? 0)) wrong.push(`${key}: ${n} was never sent`);
    heard.set(key, { n, revision, id });
  }

  async function listen(): Promise<void> {
    while (!stopping) {
      try {
        await using stream = await openEventStream(`${at.url}/v1/events?${query}`, {
          authorization: `Bearer ${token}`,
          ...(cursor !== undefined && { "last-event-id": cursor }),
        });
        close = async () => await stream[Symbol.asyncDispose]();
        streams++;
        while (!stopping) {
          const next = await stream.next();
          take(next.event);
          cursor = next.cursor;
        }
      } catch {
        // The stream ended, or could not be opened: come back with the cursor.
        await delay(retryDelayMs);
      }
    }
  }

  const listening = listen();
  return {
    heard,
    wrong,
    get events() {
      return events;
    },
    get streams() {
      return streams;
    },
    async stop() {
      stopping = true;
      await close?.();
      await listening;
    },
  };
}

/** What the watcher has not heard of what these nodes hold; nothing once it has caught up. */
export async function unheard(
  at: Where,
  owner: Owner,
  targets: readonly Target[],
  heard: Watcher["heard"],
): Promise<string[]> {
  const missed: string[] = [];
  for (const { node } of targets) {
    for (const [name, { value, revision }] of Object.entries((await read(at, owner, node)) ?? {})) {
      const last = heard.get(`${node} ${name}`);
      if (last?.revision !== revision || last.n !== value.n)
        missed.push(`${node} ${name}: ${value.n} at ${revision}, heard ${JSON.stringify(last)}`);
    }
  }
  return missed;
}

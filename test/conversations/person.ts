// People as actors: what somebody does over HTTP and hears on their stream, so that tests read as conversations.
// In: a world, a token. Out: requests, events. Never: a shortcut past the public contract.
import { expect } from "vitest";
import { type CloudEvent, type Data, type EventStream, type Heard, openEventStream } from "./event-stream.ts";

/** What actors need of the world that they live in. */
export interface Place {
  readonly url: string;
  /** Rings a bell that every stream hears in its turn. @returns the number of this stroke */
  ring(): Promise<number>;
  /** The target that carries the bell. */
  readonly bell: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; empty when it is none. */
  readonly body: Data;
}

/** An answer other than 2xx, where a test expected one. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly problem: Data;
  constructor(what: string, answer: Answer) {
    super(`${what} was refused: ${answer.status} ${answer.text.slice(0, 500)}`);
    this.status = answer.status;
    this.problem = answer.body;
    this.code = String(answer.body.code);
  }
}

interface Property {
  readonly node: string;
  readonly name: string;
  readonly value: unknown;
  readonly revision: number;
  readonly updated: string;
  readonly by: string;
  readonly lease?: { id: string; seconds: number; until: string; default?: unknown };
}

export interface LeaseWish {
  seconds: number;
  default?: unknown;
  id?: string;
}

export interface SetTerms {
  lease?: LeaseWish;
  view?: string;
  /** Somebody's address or a child node; one's own node without it. */
  at?: string;
  ifMatch?: number | string;
  ifNoneMatch?: string;
  /** Idempotency-Key */
  key?: string;
}

export interface WatchTerms {
  /** `?after=` */
  after?: string;
  lastEventId?: string;
  /** Further targets, as `?watch=` takes them. */
  also?: readonly string[];
  /** Watch nothing but what is named: without the bell, `hearsNothing` does not work. */
  withoutBell?: true;
  /** `?self=true` */
  self?: true;
}

export interface Hearing {
  /** What came before `stream.live`. */
  readonly snapshot: readonly Heard[];
  readonly live: Heard;
  readonly stream: EventStream;
}

export interface Person extends AsyncDisposable {
  readonly address: string;
  readonly token: string | undefined;
  asks(
    method: string,
    path: string,
    wish?: { body?: unknown; text?: string; headers?: Record<string, string> },
  ): Promise<Answer>;
  /** @throws Refused, as do all that follow */
  sets(name: string, value: unknown, terms?: SetTerms): Promise<Property>;
  /** The same with status and headers. */
  puts(name: string, value: unknown, terms?: SetTerms): Promise<Answer>;
  removes(name: string, terms?: SetTerms): Promise<void>;
  patches(
    change: { set?: Record<string, { value: unknown; lease?: LeaseWish }>; remove?: string[] },
    terms?: SetTerms,
  ): Promise<Data>;
  gets(whom: Person | string, name: string): Promise<Property>;
  /** The value, or undefined where there is nothing to see. */
  sees(whom: Person | string, name: string): Promise<unknown>;
  reads(whom: Person | string, query?: string): Promise<Data>;
  creates(child: string, kind?: string): Promise<Data>;
  renews(leaseId: string, seconds?: number): Promise<{ id: string; until: string; properties: Data[] }>;
  ends(leaseId: string): Promise<void>;
  /** Opens a stream in place of the last one, and waits until it is live. */
  watches(whom: Person | string, names?: string, terms?: WatchTerms): Promise<Hearing>;
  /** The same without a target: hears of all subscriptions that are kept. */
  listens(terms?: WatchTerms): Promise<Hearing>;
  /** `POST /v1/subscriptions` */
  subscribes(wish: Data): Promise<Data>;
  /** `PUT …/policy` */
  grants(...rules: Data[]): Promise<void>;
  blocks(whom: Person | string, mode?: "polite" | "hard"): Promise<void>;
  unblocks(whom: Person | string): Promise<void>;
  /** The next event must be this one. */
  hears(type: string, data?: Data): Promise<Heard>;
  hearsMany(count: number): Promise<Heard[]>;
  /** Everything up to the next event of this type, and that one. */
  hearsThrough(type: string): Promise<Heard[]>;
  /** Everything acknowledged until now has been told, and none of it was for this stream. */
  hearsNothing(): Promise<void>;
  /** Everything that comes before the bell. */
  hearsUpToNow(): Promise<Heard[]>;
  leaves(): Promise<void>;
  /** The same person with another token. */
  with(token: string | undefined): Person;
}

export function propertyPath(address: string, name: string): string {
  return `/v1/nodes/${encodeURIComponent(address)}/properties/${encodeURIComponent(name)}`;
}

export function blockPath(address: string, who: string): string {
  return `${nodePath(address)}/blocks/${encodeURIComponent(who)}`;
}

export function nodePath(address: string): string {
  return `/v1/nodes/${encodeURIComponent(address)}`;
}

function addressOf(whom: Person | string): string {
  return typeof whom === "string" ? whom : whom.address;
}

export function person(place: Place, address: string, token: string | undefined): Person {
  let hearing: EventStream | undefined;
  const others: Person[] = [];

  async function asks(
    method: string,
    path: string,
    wish: { body?: unknown; text?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = { ...wish.headers };
    if (token !== undefined) headers.authorization ??= `Bearer ${token}`;
    if (wish.body !== undefined) headers["content-type"] ??= "application/json";
    const sent = wish.text ?? (wish.body === undefined ? undefined : JSON.stringify(wish.body));
    const body = sent === undefined ? {} : { body: sent };
    const response = await fetch(`${place.url}${path}`, { method, headers, ...body });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text !== "" ? (JSON.parse(text) as Data) : {},
    };
  }

  async function does(method: string, path: string, wish?: Parameters<typeof asks>[2]): Promise<Answer> {
    const answer = await asks(method, path, wish);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw new Refused(`${method} ${path}`, answer);
  }

  function headersOf({ ifMatch, ifNoneMatch, key }: SetTerms): Record<string, string> {
    return {
      ...(ifMatch !== undefined && { "if-match": typeof ifMatch === "number" ? `"${ifMatch}"` : ifMatch }),
      ...(ifNoneMatch !== undefined && { "if-none-match": ifNoneMatch }),
      ...(key !== undefined && { "idempotency-key": key }),
    };
  }

  async function puts(name: string, value: unknown, terms: SetTerms = {}): Promise<Answer> {
    const { lease, view, at = address } = terms;
    const body = { value, ...(lease && { lease }), ...(view !== undefined && { view }) };
    return await does("PUT", propertyPath(at, name), { body, headers: headersOf(terms) });
  }

  async function gets(whom: Person | string, name: string): Promise<Property> {
    return (await does("GET", propertyPath(addressOf(whom), name))).body as unknown as Property;
  }

  function live(): EventStream {
    if (hearing === undefined) throw new Error(`${address} watches nothing`);
    return hearing;
  }

  /** The next event that is not the bell's, nor a bookmark, which comes by the clock. */
  async function nextEvent(wanted?: string): Promise<Heard> {
    for (;;) {
      const heard = await live().next();
      if (heard.event.type === wanted) return heard;
      if (strokeOf(heard.event) === undefined && !isBookmark(heard.event)) return heard;
    }
  }

  function isBookmark({ type }: CloudEvent): boolean {
    return type === "dev.tidings.stream.bookmark";
  }

  async function opens(targets: readonly string[], terms: WatchTerms): Promise<Hearing> {
    await self.leaves();
    const query = new URLSearchParams();
    for (const one of [...targets, ...(terms.also ?? [])]) query.append("watch", one);
    if (!terms.withoutBell) query.append("watch", place.bell);
    if (terms.after !== undefined) query.append("after", terms.after);
    if (terms.self) query.append("self", "true");
    const headers = {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(terms.lastEventId !== undefined && { "last-event-id": terms.lastEventId }),
    };
    hearing = await openEventStream(`${place.url}/v1/events?${query}`, headers);
    const snapshot = await hearsThrough("stream.live");
    return { snapshot, live: snapshot.pop() as Heard, stream: hearing };
  }

  async function hearsThrough(type: string): Promise<Heard[]> {
    const all: Heard[] = [];
    const wanted = `dev.tidings.${type}`;
    do all.push(await nextEvent(wanted));
    while (all.at(-1)?.event.type !== wanted);
    return all;
  }

  async function hearsUpToNow(): Promise<Heard[]> {
    const stroke = await place.ring();
    const between: Heard[] = [];
    for (;;) {
      const heard = await live().next();
      const number = strokeOf(heard.event);
      if (number === undefined) {
        if (!isBookmark(heard.event)) between.push(heard);
      } else if (number >= stroke) return between;
    }
  }

  /** The number of a stroke of the bell. */
  function strokeOf({ data, source }: CloudEvent): number | undefined {
    return source === `/nodes/${place.bell.split(":")[0]}` ? Number(data.value?.price) : undefined;
  }

  const self: Person = {
    address,
    token,
    asks,
    puts,
    gets,
    hearsUpToNow,
    hearsThrough,
    sets: async (name, value, terms) => (await puts(name, value, terms)).body as unknown as Property,
    async removes(name, terms = {}) {
      const view = terms.view === undefined ? "" : `?view=${terms.view}`;
      await does("DELETE", propertyPath(terms.at ?? address, name) + view, { headers: headersOf(terms) });
    },
    patches: async (change, terms = {}) =>
      (await does("PATCH", nodePath(terms.at ?? address), { body: change, headers: headersOf(terms) })).body,
    async sees(whom, name) {
      try {
        return (await gets(whom, name)).value;
      } catch (error) {
        if (error instanceof Refused && error.code === "not-found") return undefined;
        throw error;
      }
    },
    reads: async (whom, query = "") => (await does("GET", nodePath(addressOf(whom)) + query)).body,
    creates: async (child, kind = "thing") => (await does("PUT", nodePath(child), { body: { kind } })).body,
    async renews(leaseId, seconds) {
      const body = seconds === undefined ? {} : { seconds };
      const answer = await does("POST", `/v1/leases/${leaseId}/renew`, { body });
      return answer.body as { id: string; until: string; properties: Data[] };
    },
    ends: async (leaseId) => void (await does("DELETE", `/v1/leases/${leaseId}`)),
    async watches(whom, names, terms = {}) {
      const target = names === undefined ? addressOf(whom) : `${addressOf(whom)}:${names}`;
      return await opens([target], terms);
    },
    listens: async (terms = {}) => await opens([], terms),
    subscribes: async (wish) => (await does("POST", "/v1/subscriptions", { body: wish })).body,
    async grants(...rules) {
      await does("PUT", `${nodePath(address)}/policy`, { body: { rules } });
    },
    async blocks(whom, mode) {
      const body = mode === undefined ? {} : { body: { mode } };
      await does("PUT", blockPath(address, addressOf(whom)), body);
    },
    async unblocks(whom) {
      await does("DELETE", blockPath(address, addressOf(whom)));
    },
    async hears(type, data) {
      const heard = await nextEvent();
      expect(heard.event).toMatchObject({ type: `dev.tidings.${type}`, ...(data && { data }) });
      return heard;
    },
    async hearsMany(count) {
      const many: Heard[] = [];
      while (many.length < count) many.push(await nextEvent());
      return many;
    },
    async hearsNothing() {
      expect((await hearsUpToNow()).map(({ event }) => event)).toEqual([]);
    },
    async leaves() {
      await hearing?.[Symbol.asyncDispose]();
      hearing = undefined;
    },
    with(otherToken) {
      const other = person(place, address, otherToken);
      others.push(other);
      return other;
    },
    async [Symbol.asyncDispose]() {
      await self.leaves();
      for (const other of others) await other[Symbol.asyncDispose]();
    },
  };
  return self;
}

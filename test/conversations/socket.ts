// A socket as a conversation, on the independent client `ws`: commands with their answers, events, and how it closes.
// In: a URL, a token. Out: frames sorted into answers and events. Never: a word to the broker that the test did not say.
import { type ClientOptions, WebSocket } from "ws";
import type { CloudEvent, Data } from "./event-stream.ts";

export interface Told {
  readonly cursor: string;
  readonly event: CloudEvent;
}

interface Closed {
  readonly code: number;
  readonly reason: string;
  /** By performance.now(). */
  readonly atMs: number;
}

/** A handshake that was refused with plain HTTP. */
class NoSocket extends Error {
  readonly status: number;
  readonly problem: Data;
  constructor(status: number, text: string) {
    super(`no socket: ${status} ${text}`);
    this.status = status;
    this.problem = text.startsWith("{") ? (JSON.parse(text) as Data) : {};
  }
  get code(): string {
    return this.problem.code as string;
  }
}

export interface Socket extends AsyncDisposable {
  /** The `{"id", "ok"}` or `{"id", "problem"}` to this command. */
  asks(op: string, fields?: Data): Promise<Data>;
  /** What `ok` carries. @throws when it was a problem */
  does(op: string, fields?: Data): Promise<Data>;
  /** What `problem` carries. @throws when it was none */
  fails(op: string, fields?: Data): Promise<Data>;
  /** The next event that nobody has taken. */
  next(): Promise<Told>;
  /** The next event must be this one. */
  hears(type: string, data?: Data): Promise<Told>;
  /** Everything up to the next event of this type, and that one. */
  hearsThrough(type: string): Promise<Told[]>;
  /** The next answer to what had no id. */
  answer(): Promise<Data>;
  readonly closed: Promise<Closed>;
  /** The client itself, for what no decent client does. */
  readonly raw: WebSocket;
}

export interface Dialling extends ClientOptions {
  readonly token?: string | undefined;
  /** `?after=`, `?watch=`, `?ticket=` */
  readonly query?: string;
  readonly protocols?: string[];
}

const patienceMs = 20_000;

/** @throws NoSocket */
export async function openSocket(base: string, dialling: Dialling = {}): Promise<Socket> {
  const { token, query = "", protocols = ["tidings.v1"], headers, ...options } = dialling;
  const raw = new WebSocket(`${base.replace(/^http/, "ws")}/v1/socket${query}`, protocols, {
    ...options,
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
  });
  const events = queue<Told>("events");
  const strays = queue<Data>("answers");
  const waiting = new Map<unknown, (answer: Data) => void>();
  let count = 0;

  const closed = new Promise<Closed>((resolve) => {
    raw.on("close", (code, reason) => {
      const end = { code, reason: reason.toString(), atMs: performance.now() };
      for (const one of [events, strays]) one.end(`the socket closed with ${code} ${end.reason}`);
      for (const answered of waiting.values()) answered({ closed: end });
      resolve(end);
    });
  });
  raw.on("message", (data) => {
    const frame = JSON.parse(String(data)) as Data;
    if ("event" in frame) return events.put(frame as Told);
    const answered = waiting.get(frame.id);
    waiting.delete(frame.id);
    if (answered) answered(frame);
    else strays.put(frame);
  });
  await new Promise<void>((resolve, reject) => {
    raw.on("open", resolve);
    raw.on("error", reject);
    raw.on("unexpected-response", (_, response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => reject(new NoSocket(response.statusCode ?? 0, text)));
    });
  });

  async function asks(op: string, fields: Data = {}): Promise<Data> {
    const id = ++count;
    return await new Promise((resolve) => {
      waiting.set(id, resolve);
      raw.send(JSON.stringify({ id, op, ...fields }));
    });
  }

  async function part(which: "ok" | "problem", op: string, fields?: Data): Promise<Data> {
    const answer = await asks(op, fields);
    if (answer[which] !== undefined) return answer[which];
    throw new Error(`${op} was answered with ${JSON.stringify(answer)}`);
  }

  /** Bookmarks come by the clock: only who waits for one hears it. */
  async function next(wanted?: string): Promise<Told> {
    for (;;) {
      const told = await events.next();
      if (told.event.type === wanted || !told.event.type.endsWith("stream.bookmark")) return told;
    }
  }

  async function hearsThrough(type: string): Promise<Told[]> {
    const all: Told[] = [];
    const wanted = `dev.tidings.${type}`;
    do all.push(await next(wanted));
    while (all.at(-1)?.event.type !== wanted);
    return all;
  }

  return {
    asks,
    does: async (op, fields) => await part("ok", op, fields),
    fails: async (op, fields) => await part("problem", op, fields),
    next: async () => await next(),
    answer: strays.next,
    async hears(type, data = {}) {
      const heard = await next();
      const { type: found, data: said } = heard.event;
      const fits = Object.entries(data).every(
        ([name, value]) => JSON.stringify(said[name]) === JSON.stringify(value),
      );
      if (found === `dev.tidings.${type}` && fits) return heard;
      throw new Error(`heard ${JSON.stringify(heard.event)}, not ${type} ${JSON.stringify(data)}`);
    },
    hearsThrough,
    closed,
    raw,
    async [Symbol.asyncDispose]() {
      raw.terminate();
      await closed;
    },
  };
}

interface Queue<T> {
  put(one: T): void;
  next(): Promise<T>;
  end(why: string): void;
}

function queue<T>(of: string): Queue<T> {
  const here: T[] = [];
  let over: string | undefined;
  let wake = Promise.withResolvers<void>();
  return {
    put(one) {
      here.push(one);
      wake.resolve();
    },
    end(why) {
      over = why;
      wake.resolve();
    },
    async next() {
      for (;;) {
        const first = here.shift();
        if (first !== undefined) return first;
        if (over !== undefined) throw new Error(`no more ${of}: ${over}`);
        wake = Promise.withResolvers<void>();
        const late = setTimeout(() => {
          over = `none came in ${patienceMs / 1000} s`;
          wake.resolve();
        }, patienceMs);
        await wake.promise;
        clearTimeout(late);
      }
    },
  };
}

// Egress: requests that leave the broker for addresses that others named. The folder's public file.
// In: requests to anywhere. Out: answers, cut at their limits. Never: a connection to an address that was not checked, a redirect followed, or more of an answer read than was asked for.
import { Agent, errors } from "undici";
import { isLocalName, isPublic, literalOf } from "./addresses.ts";
import { checkedLookup, NotAllowed, openResolve, type Resolve } from "./resolving.ts";

export { type Gate, openGate, type Room } from "./gate.ts";

export interface EgressRequest {
  readonly url: string;
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For all of it: name, connection, headers, body. */
  readonly timeoutMs: number;
  /** Of the answer's body; what follows is not read. */
  readonly bytesMax: number;
}

export interface EgressAnswer {
  /** Also 3xx: no redirect is followed. */
  readonly status: number;
  /** By their names in lower case; of a field that came more than once, all values joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Whether that was all of the body. */
  readonly isWhole: boolean;
}

/** There is no answer. The message says why, without anything that was sent. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  /** Aborted: by whoever asked. */
  readonly why: "not-allowed" | "timeout" | "unreachable" | "aborted";
  constructor(why: NoAnswer["why"], message: string) {
    super(message);
    this.why = why;
  }
}

export interface Egress {
  /** @throws NoAnswer */
  request(request: EgressRequest): Promise<EgressAnswer>;
  /** What speaks against this URL as it is written, in plain words; undefined when nothing does. */
  objection(url: string): string | undefined;
}

export interface EgressOptions {
  /** Also to loopback, private and other special addresses: for tests, and brokers that serve a LAN. */
  readonly allowPrivate: boolean;
  /** In place of the machine's name servers. */
  readonly resolve?: Resolve | undefined;
}

const urlCharsMax = 2_048;
const headerBytesMax = 16 * 1024;
const connectMs = 10_000;
const idleMs = 10_000;

export function openEgress({
  allowPrivate,
  resolve = openResolve(),
}: EgressOptions): Egress & AsyncDisposable {
  const agent = new Agent({
    connect: { lookup: checkedLookup(resolve, allowPrivate), timeout: connectMs },
    allowH2: false,
    pipelining: 1,
    maxHeaderSize: headerBytesMax,
    keepAliveTimeout: idleMs,
    keepAliveMaxTimeout: 60_000,
    // Time is measured over all of it, below.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  function objection(text: string): string | undefined {
    if (text.length > urlCharsMax) return `is longer than ${urlCharsMax} characters`;
    if (!URL.canParse(text)) return "is not an absolute URL";
    const { protocol, username, password, hostname } = new URL(text);
    if (protocol !== "http:" && protocol !== "https:") return "must begin with https:// or http://";
    if (username !== "" || password !== "") return "must not hold a user name or password";
    if (allowPrivate) return undefined;
    const literal = literalOf(hostname);
    const isOpen = literal === undefined ? !isLocalName(hostname) : isPublic(literal);
    return isOpen ? undefined : "must not lead to a loopback, private or other special address";
  }

  async function request(wish: EgressRequest): Promise<EgressAnswer> {
    const against = objection(wish.url);
    if (against) throw new NoAnswer("not-allowed", `the URL ${against}`);
    const over = new AbortController();
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      over.abort();
    }, wish.timeoutMs);
    // Signals of whoever asks live for days: one that was made of them, and listened to, would never be let go of.
    const giveUp = (): void => over.abort();
    wish.signal?.addEventListener("abort", giveUp);
    if (wish.signal?.aborted) giveUp();
    try {
      // A request that waits for its connection hears of the signal only when it has one: then it is not sent.
      return await Promise.race([exchange(wish, over.signal), aborted(over.signal)]);
    } catch (error) {
      if (isOver) throw new NoAnswer("timeout", `no whole answer within ${wish.timeoutMs} ms`);
      if (wish.signal?.aborted) throw new NoAnswer("aborted", "given up");
      throw asNoAnswer(error as Error);
    } finally {
      clearTimeout(timer);
      wish.signal?.removeEventListener("abort", giveUp);
    }
  }

  async function exchange(wish: EgressRequest, signal: AbortSignal): Promise<EgressAnswer> {
    const { origin, pathname, search } = new URL(wish.url);
    const { statusCode, headers, body } = await agent.request({
      origin,
      path: `${pathname}${search}`,
      method: wish.method as "POST",
      headers: { ...wish.headers },
      body: wish.body ?? null,
      signal,
    });
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of body as AsyncIterable<Buffer>) {
      parts.push(part);
      bytes += part.length;
      // Leaving ends the connection.
      if (bytes > wish.bytesMax) break;
    }
    return {
      status: statusCode,
      headers: joined(headers),
      body: Buffer.concat(parts).subarray(0, wish.bytesMax),
      isWhole: bytes <= wish.bytesMax,
    };
  }

  return {
    request,
    objection,
    async [Symbol.asyncDispose]() {
      // Whatever is open ends now; for what is only on its way to a connection nobody waits.
      agent.destroy().catch(() => undefined);
    },
  };
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value = ""]) => [name, [value].flat().join(", ")]),
  );
}

/** @throws once the signal comes */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(new Error("aborted"));
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

function asNoAnswer(error: Error): NoAnswer {
  if (error instanceof NotAllowed) return new NoAnswer("not-allowed", error.message);
  if (error instanceof errors.ConnectTimeoutError) return new NoAnswer("timeout", "no connection in time");
  const { code } = error as NodeJS.ErrnoException;
  return new NoAnswer("unreachable", code ? `${error.message || "no connection"} (${code})` : error.message);
}

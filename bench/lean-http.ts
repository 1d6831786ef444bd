// A lean HTTP/1.1 client: one keep-alive connection, one request at a time, ready-made bytes.
// In: bytes of a request. Out: status, head and body of its answer. Never: more than it takes to find where an answer ends.
import { connect } from "node:net";

export interface Answer {
  readonly status: number;
  /** The status line and the header fields. */
  readonly head: string;
  readonly body: string;
}

export interface Line extends Disposable {
  /** Rejects when the connection breaks: then nobody knows what became of the request. */
  send(request: Buffer): Promise<Answer>;
}

interface Asked {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

const headEnd = Buffer.from("\r\n\r\n");

/** Resolves when the connection stands. */
export function openLine(port: number, host = "127.0.0.1"): Promise<Line> {
  const opened = Promise.withResolvers<Line>();
  const socket = connect({ host, port, noDelay: true });
  let asked: Asked | undefined;
  let waiting: Buffer | undefined;
  let broken: Error | undefined;

  function send(request: Buffer): Promise<Answer> {
    if (broken) return Promise.reject(broken);
    if (asked) return Promise.reject(new Error("one request at a time"));
    return new Promise((resolve, reject) => {
      asked = { resolve, reject };
      socket.write(request);
    });
  }

  function receive(chunk: Buffer): void {
    const bytes = waiting ? Buffer.concat([waiting, chunk]) : chunk;
    const answer = parse(bytes);
    if (answer instanceof Error) return void socket.destroy(answer);
    if (answer === undefined) {
      waiting = bytes;
      return;
    }
    waiting = undefined;
    const { resolve } = asked as Asked;
    asked = undefined;
    resolve(answer);
  }

  function fail(error: Error): void {
    broken ??= error;
    opened.reject(broken);
    asked?.reject(broken);
    asked = undefined;
  }

  socket.on("data", receive);
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the connection was closed")));
  socket.on("connect", () => opened.resolve({ send, [Symbol.dispose]: () => void socket.destroy() }));
  return opened.promise;
}

/** Undefined while the answer is not whole. The broker sends Content-Length with every body (RFC 9112 §6.3). */
function parse(bytes: Buffer): Answer | Error | undefined {
  const end = bytes.indexOf(headEnd);
  if (end < 0) return undefined;
  const head = bytes.toString("latin1", 0, end);
  const status = Number(head.slice(9, 12));
  const start = end + headEnd.length;
  const length = status === 204 || status === 304 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
  if (Number.isNaN(length)) return new Error(`an answer without a length: ${head}`);
  if (bytes.length < start + length) return undefined;
  return { status, head, body: bytes.toString("utf8", start, start + length) };
}

export interface RequestParts {
  readonly method: string;
  readonly path: string;
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The bytes of a request; they may be sent as often as wanted. */
export function requestBytes({ method, path, token, body, headers = {} }: RequestParts): Buffer {
  const text = body === undefined ? "" : JSON.stringify(body);
  let head = `${method} ${path} HTTP/1.1\r\nHost: broker\r\n`;
  if (token !== undefined) head += `Authorization: Bearer ${token}\r\n`;
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
  if (body !== undefined)
    head += `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
  return Buffer.from(`${head}\r\n${text}`);
}

/** Sends one request on a line of its own and reads its JSON. @throws Error unless the status is 2xx */
export async function ask<T>(port: number, parts: RequestParts): Promise<T> {
  using line = await openLine(port);
  const { status, body } = await line.send(requestBytes(parts));
  if (status < 200 || status > 299) throw new Error(`${parts.method} ${parts.path}: ${status} ${body}`);
  return (body === "" ? undefined : JSON.parse(body)) as T;
}

/** Registers an account. */
export async function register(port: number, handle: string): Promise<{ address: string; token: string }> {
  return await ask(port, { method: "POST", path: "/v1/accounts", body: { handle } });
}

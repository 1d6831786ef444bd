// Hostile requests: for every operation that /openapi.json lists, one that nearly fits, and rubbish in any part of it.
// In: chance, the document, a token. Out: bytes. Never: a route that has to be written down here.
import type { Data } from "../conversations/event-stream.ts";
import type { Random } from "../simulation/random.ts";
import type { Values } from "./hostile-values.ts";

export interface HostileRequest {
  readonly what: string;
  readonly method: string;
  readonly bytes: Buffer;
  /** It may not be HTTP: the broker hangs up after it. */
  readonly ends: boolean;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Data[];
  readonly body: Data | undefined;
}

export function operationsOf(document: Data): Operation[] {
  return Object.entries(document.paths as Record<string, Data>).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Data>).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      body: requestBody?.content?.["application/json"]?.schema,
    })),
  );
}

const methods = [
  "GET",
  "PUT",
  "POST",
  "DELETE",
  "PATCH",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "PROPFIND",
  "QUERY",
  "PURGE",
  "M-SEARCH",
  "CONNECT",
];
const rubbish: readonly string[] = [
  "\u0000\u0001\u0002\r\n\r\n",
  "GET\r\n\r\n",
  "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
  "GET / HTTP/1.1\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n{}",
  "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
  "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
  "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: x\r\nX: \u0000\r\n\r\n",
  "GET / HTTP/1.1\nHost: x\n\n",
  "GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
  "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
  "GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\n\r\n",
  "GET /v1/socket?watch=*&after=-&ticket=x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
  "GET //v1//socket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  `GET /${"a".repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: x\r\n${"X: y\r\n".repeat(3_000)}\r\n`,
  "GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n folded\r\n\r\n",
  "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
];

export function requestsFor(
  random: Random,
  values: Values,
  operations: readonly Operation[],
): (token: string) => HostileRequest {
  /** One path segment: percent-encoded as it should be, or not quite. */
  function encoded(text: string): string {
    const usual = encodeURIComponent(text.toWellFormed());
    switch (random.int(20)) {
      case 0:
        return usual.replace(/%/g, "%25");
      case 1:
        return usual.replace(/%(..)/g, (_, hex: string) => `%${hex.toLowerCase()}`);
      case 2:
        return text.replace(/[^\x21-\x7e]|[#?]/g, "");
      case 3:
        return `${usual}${random.pick(["%", "%2", "%zz", "%00", "%c0%ae", "%ff", ";x=1", "%2f..%2f"])}`;
      default:
        return usual;
    }
  }

  function queryOf({ parameters }: Operation): string {
    const pairs: string[] = [];
    for (const { in: where, name, schema } of parameters) {
      if (where !== "query" || random.chance(0.5)) continue;
      const items = schema.type === "array" ? random.pick([1, 1, 2, 30]) : random.pick([1, 1, 1, 2]);
      for (let n = 0; n < items; n++) {
        const value = values.fitting(schema.type === "array" ? schema.items : schema, name);
        const text = typeof value === "object" ? JSON.stringify(value) : String(value);
        // Longer than this, a poll would only wait.
        const waits = name === "wait" && Number(text) > 0.05 && Number(text) <= 60;
        pairs.push(`${encodeURIComponent(name)}=${encoded(waits ? "0.05" : text)}`);
      }
    }
    if (random.chance(0.05)) pairs.push(`${encoded(values.text())}=${encoded(values.text())}`);
    return pairs.length > 0 ? `?${pairs.join("&").slice(0, 12_000)}` : "";
  }

  function headersOf({ parameters }: Operation, token: string): string[] {
    const lines = ["Host: broker"];
    const authorization = random.pick([
      ...Array<string>(16).fill(`Bearer ${token}`),
      `bearer ${token.slice(0, -1)}`,
      `Bearer ${values.text()}`,
      `Basic ${Buffer.from("a:b").toString("base64")}`,
      "",
    ]);
    if (authorization !== "") lines.push(`Authorization: ${authorization}`);
    for (const { in: where, name } of parameters) {
      if (where === "header" && random.chance(0.4)) lines.push(`${name}: ${values.named(name)}`);
    }
    if (random.chance(0.1)) {
      const name = random.pick([
        "X-Forwarded-For",
        "Accept",
        "Origin",
        "Cookie",
        "traceparent",
        "Range",
        "Expect",
        "Content-Encoding",
      ]);
      lines.push(`${name}: ${name === "Expect" ? "200-maybe" : values.text()}`);
    }
    // A line break would begin another header, and another request after two.
    return lines.map((line) => line.replace(/[\r\n\0]/g, " ").slice(0, 8_000));
  }

  function request(token: string): HostileRequest {
    if (random.chance(0.03)) {
      const text = random.pick(rubbish);
      return {
        what: `rubbish ${text.slice(0, 40)}`,
        method: "",
        bytes: Buffer.from(text, "latin1"),
        ends: true,
      };
    }
    values.begin();
    const operation = random.pick(operations);
    const method = random.chance(0.05) ? random.pick(methods) : operation.method;
    const path = operation.path.replace(/\{([^}]+)\}/g, (_, name: string) => encoded(values.named(name)));
    const target = `${path}${queryOf(operation)}`;
    const lines = headersOf(operation, token);
    let body = Buffer.alloc(0);
    if (operation.body !== undefined || random.chance(0.03)) {
      body = Buffer.from(values.broken(values.fitting(operation.body ?? {}, "")));
      if (random.chance(0.02)) body = Buffer.concat([body, Buffer.from([0xff, 0xfe, 0xc0])]);
      if (random.chance(0.003)) body = Buffer.concat([body, Buffer.alloc(300 * 1024, " ")]);
      const type = random.chance(0.95)
        ? "application/json"
        : random.pick(["text/plain", "application/xml", "application/json; charset=utf-16", ""]);
      if (type !== "") lines.push(`Content-Type: ${type}`);
    }
    if (body.length > 0 || method !== "GET") lines.push(`Content-Length: ${body.length}`);
    const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    return {
      what: `${method} ${operation.path}`,
      method,
      bytes: Buffer.concat([head, body]),
      ends: method === "CONNECT",
    };
  }

  return request;
}

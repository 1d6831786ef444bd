// An endpoint: what somebody runs to be told by webhook, on a loopback port, checking each request as Standard Webhooks says.
// In: a secret, how to answer. Out: requests as they came, verified. Never: a request that is counted without its signature being looked at.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { until } from "../store/embedded.ts";
import type { CloudEvent } from "./event-stream.ts";

export interface Received {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  /** One, or all of a batch. */
  readonly events: readonly CloudEvent[];
  readonly atMs: number;
  /** Why the signature is not good; empty when it is. */
  readonly wrong: string;
}

export type Answering = (response: ServerResponse, received: Received) => void;

export interface Endpoint extends AsyncDisposable {
  readonly url: string;
  /** What signs what it is sent. */
  secret: string;
  /** How it answers POST; 204 at first. */
  answer: Answering;
  /** What it says to OPTIONS; nothing of webhooks at first. */
  handshake: Record<string, string>;
  /** How it answers OPTIONS: at once, with that, at first. */
  shake: (response: ServerResponse) => void;
  /** What OPTIONS said. */
  readonly asked: readonly IncomingHttpHeaders[];
  /** All that came, also what was answered with an error. */
  readonly received: readonly Received[];
  /** Events of what was answered with 2xx, in order. */
  readonly events: readonly CloudEvent[];
  /** Waits for an event with this in its data, among those that were taken. */
  hears(what: string, fits: (event: CloudEvent) => boolean): Promise<CloudEvent>;
  /** Ends all connections, and refuses others. */
  goesDown(): Promise<void>;
  comesBack(): Promise<void>;
}

export const answers = (status: number, headers: Record<string, string> = {}): Answering => {
  return (response) => void response.writeHead(status, headers).end();
};

export async function openEndpoint(): Promise<Endpoint> {
  const received: Received[] = [];
  const events: CloudEvent[] = [];
  const asked: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    take(request, response).catch((error: Error) => response.destroy(error));
  });
  await listen(0);
  const { port } = server.address() as AddressInfo;

  async function listen(at: number): Promise<void> {
    await new Promise<void>((resolve) => server.listen(at, "127.0.0.1", resolve));
  }

  async function close(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers, method } = request;
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part;
    if (method === "OPTIONS") {
      asked.push(headers);
      endpoint.shake(response);
      return;
    }
    const read = JSON.parse(body) as CloudEvent | CloudEvent[];
    const one: Received = {
      id: String(headers["webhook-id"]),
      headers,
      events: [read].flat(),
      atMs: performance.now(),
      wrong: wrongWith(endpoint.secret, body, headers),
    };
    received.push(one);
    response.once("finish", () => {
      if (response.statusCode < 300) events.push(...one.events);
    });
    endpoint.answer(response, one);
  }

  const endpoint: Endpoint = {
    url: `http://127.0.0.1:${port}/hook`,
    secret: "",
    answer: answers(204),
    handshake: {},
    shake: (response) => void response.writeHead(200, endpoint.handshake).end(),
    asked,
    received,
    events,
    hears: async (what, fits) => await until(what, () => events.find(fits)),
    goesDown: close,
    comesBack: async () => await listen(port),
    async [Symbol.asyncDispose]() {
      if (server.listening) await close();
    },
  };
  return endpoint;
}

export function wrongWith(secret: string, body: string, headers: IncomingHttpHeaders): string {
  try {
    new Webhook(secret).verify(body, headers as Record<string, string>);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

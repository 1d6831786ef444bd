// A sink: an HTTP server that writes down what it is sent, as the world outside that an agent acts upon.
// In: requests. Out: the order in which they came, with their keys. Never: an answer before it is written down.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "../store/embedded.ts";

export interface Posted {
  readonly path: string;
  readonly key: string;
  readonly body: string;
}

export interface Sink extends AsyncDisposable {
  readonly url: string;
  readonly posted: readonly Posted[];
  /** Until so many different requests came. */
  has(count: number): Promise<void>;
}

export async function openSink(): Promise<Sink> {
  const posted: Posted[] = [];
  const different = new Set<string>();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const key = String(request.headers["idempotency-key"]);
    posted.push({ path: request.url as string, key, body });
    different.add(key);
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posted,
    has: async (count) => void (await until(`${count} requests at the sink`, () => different.size >= count)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

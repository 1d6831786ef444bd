// When a freshly started nats-server serves: its greeting says so.
// In: a port, the server's name, and the promise of its end. Out: undefined when it is ready, else why it will not be.
// Never: a guess by time.

import { randomInt } from "node:crypto";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const probeEveryMs = 4;

export type Awaited = { port: number; name: string; ended: Promise<string>; patienceMs: number };

/** The port opens when JetStream has recovered its streams, and the greeting names server and features. */
export async function untilReady({ port, name, ended, patienceMs }: Awaited): Promise<string | undefined> {
  let end: string | undefined;
  void ended.then((how) => {
    end = how;
  });
  const deadline = performance.now() + patienceMs;
  while (end === undefined && performance.now() < deadline) {
    const info = await greeting(port);
    if (info?.server_name === name && info.jetstream === true) return undefined;
    await Promise.race([ended, delay(probeEveryMs)]);
  }
  return end ?? `it does not serve within ${patienceMs / 1000} s`;
}

type Info = { server_name?: unknown; jetstream?: unknown };

/** The INFO line that a NATS server sends first; undefined if nobody listens, or somebody else. */
function greeting(port: number): Promise<Info | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    let text = "";
    const answer = (info: Info | undefined) => {
      socket.destroy();
      resolve(info);
    };
    socket.setTimeout(2000, () => answer(undefined));
    socket.on("error", () => answer(undefined));
    socket.on("end", () => answer(undefined));
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.length > 65_536) answer(undefined);
      else if (text.includes("\r\n")) answer(parseInfo(text.slice(0, text.indexOf("\r\n"))));
    });
  });
}

function parseInfo(line: string): Info | undefined {
  if (!line.startsWith("INFO ")) return undefined;
  try {
    return JSON.parse(line.slice(5)) as Info;
  } catch {
    // Not a NATS server.
    return undefined;
  }
}

/**
 * A free port below those that systems hand to outgoing connections: another program cannot get it by chance
 * while our server restarts, and a client that retries in the meantime cannot connect to itself.
 */
export async function pickPort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port between 20000 and 32000 on 127.0.0.1");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

// What the tests of the embedded server share: the executable, folders that vanish, a client, and waiting.
// In: a test's wish. Out: real processes in temporary folders. Never: a sleep in place of a condition.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { findNatsServer } from "../../services/store/nats-binary.ts";
import { type NatsServer, startNatsServer } from "../../services/store/server.ts";

export type Folder = AsyncDisposable & { path: string };

export async function temporaryFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "tidings-store-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export type Started = NatsServer & { lines: string[]; states: string[] };

export async function startIn(dataDir: string): Promise<Started> {
  const lines: string[] = [];
  const states: string[] = [];
  const server = await startNatsServer({
    dataDir,
    binary: (await findNatsServer()).path,
    log: (line) => lines.push(line),
    onState: (state) => states.push(state),
  });
  return Object.assign(server, { lines, states });
}

export type Client = AsyncDisposable & {
  nc: NatsConnection;
  jsm: Awaited<ReturnType<typeof jetstreamManager>>;
};

export async function clientOf({ url, token }: { url: string; token: string }): Promise<Client> {
  const nc = await connect({ servers: url, token, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
  const jsm = await jetstreamManager(nc, { timeout: 2000 });
  return { nc, jsm, [Symbol.asyncDispose]: () => nc.close() };
}

/** Asks again until the answer is neither undefined nor false. An error counts as no answer until time is up. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  patienceMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    let answer: T | undefined;
    let problem = "";
    try {
      answer = await ask();
    } catch (error) {
      // A client in the middle of a reconnect, say: the next question may be answered.
      problem = `: ${(error as Error).message}`;
    }
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}${problem}`);
    await delay(5);
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: no such process.
    return false;
  }
}

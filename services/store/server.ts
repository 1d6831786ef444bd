// The embedded nats-server: one process on one store, kept running until it is disposed of.
// In: a data folder and an executable. Out: an address, a token, and word when it goes down and comes back.
// Never: two servers on one store, a port other than the loopback's, a server that outlives its broker unnoticed.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { StartError } from "../core/start-error.ts";
import { endOrphans, serverArguments } from "./orphan.ts";
import { type ServerFiles, serverFiles, writeServerConfig } from "./server-config.ts";
import { lastWords, sizeOf, watchForWriteFailure } from "./server-log.ts";
import { pickPort, untilReady } from "./server-ready.ts";

export type ServerState = "up" | "down" | "closed";
export type ServerOptions = {
  dataDir: string;
  /** Path of the executable, from `findNatsServer`. */
  binary: string;
  log: (line: string) => void;
  onState?: (state: ServerState, why: string) => void;
  /** "always" unless the durability proof asks for the other. */
  syncInterval?: "always" | "2m";
};
export type NatsServer = AsyncDisposable & {
  readonly url: string;
  readonly token: string;
  /** Undefined while the server is down. */
  readonly pid: number | undefined;
  /** How often it was started again, asked or not. */
  readonly restarts: number;
  /** Resolves when the new server accepts connections, on the same port; calls at once share one restart. */
  restart(reason: string): Promise<void>;
  /** True once the store could not write: it then takes no more writes until a restart, whatever space is freed. */
  writeFailed(): boolean;
};

type Running = { child: ChildProcess; ended: Promise<string>; sinceMs: number };

/** A big store is checked before the port opens; 500,000 subjects take about a second after kill -9. */
const startPatienceMs = 120_000;
const stopPatienceMs = 10_000;
const retryDelayMsMin = 100;
const retryDelayMsMax = 5000;
/** A server that ran this long was healthy: the next failure starts again with the shortest delay. */
const steadyMs = 10_000;

/** @throws StartError with one line, the server's own last words in it. */
export async function startNatsServer(options: ServerOptions): Promise<NatsServer> {
  const { binary, log, onState = () => undefined, syncInterval = "always" } = options;
  const files = serverFiles(options.dataDir);
  await endOrphans(files.config, log);

  const token = randomBytes(24).toString("base64url");
  // The probe looks for this name, so that a stranger on the same port is never taken for our server.
  const name = `tidings-${randomBytes(6).toString("hex")}`;
  const closing = new AbortController();
  const writeFailure = watchForWriteFailure(files);
  let port = 0;
  let restarts = 0;
  let current: Running | undefined;
  let asked: { reason: string; done: Promise<void> } | undefined;
  let waiting = Promise.withResolvers<void>();

  const endWithProcess = () => void current?.child.kill("SIGTERM");
  process.on("exit", endWithProcess);

  async function launch(): Promise<Running> {
    writeFailure.reset();
    const running = spawnServer(binary, files);
    current = running;
    const failure = await untilReady({ port, name, ended: running.ended, patienceMs: startPatienceMs });
    if (failure === undefined) return running;
    await stop(running, 1000);
    current = undefined;
    throw new Error(failure);
  }

  async function launchFirst(): Promise<Running> {
    for (let attempt = 1; ; attempt += 1) {
      port = await pickPort();
      try {
        writeServerConfig(files, { name, port, token, syncInterval });
        return await launch();
      } catch (error) {
        const portTaken = /address already in use|Only one usage/.test((error as Error).message);
        if (portTaken && attempt < 5) continue;
        process.off("exit", endWithProcess);
        throw new StartError(`nats-server does not start: ${(error as Error).message}`);
      }
    }
  }

  /** Undefined if the owner closes meanwhile. */
  async function launchAgain(firstDelayMs: number): Promise<Running | undefined> {
    for (let delayMs = firstDelayMs; ; delayMs = longer(delayMs)) {
      // An abort only ends the wait sooner; the next line looks at the signal itself.
      await delay(delayMs, undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return undefined;
      try {
        return await launch();
      } catch (error) {
        if (!closing.signal.aborted) log(`nats-server does not come back: ${(error as Error).message}`);
      }
    }
  }

  async function supervise(first: Running): Promise<void> {
    let running: Running | undefined = first;
    let delayMs = 0;
    while (running) {
      const how = await running.ended;
      current = undefined;
      if (closing.signal.aborted) return;
      const why = asked ? asked.reason : how;
      log(asked ? `restarting nats-server: ${why}` : `nats-server is down (${why}), starting it again`);
      onState("down", why);
      const steady = performance.now() - running.sinceMs > steadyMs;
      delayMs = asked ? 0 : longer(steady ? 0 : delayMs);
      running = await launchAgain(delayMs);
      if (!running) return;
      restarts += 1;
      asked = undefined;
      const finished = waiting;
      waiting = Promise.withResolvers();
      finished.resolve();
      onState("up", why);
    }
  }

  const supervision = supervise(await launchFirst());
  onState("up", "started");
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    closing.abort();
    if (current && !(await stop(current, stopPatienceMs))) log("nats-server does not end, even by SIGKILL");
    else await supervision;
    process.off("exit", endWithProcess);
    waiting.resolve();
    onState("closed", "closed");
  }

  return {
    url: `nats://127.0.0.1:${port}`,
    token,
    get pid() {
      return current?.child.pid;
    },
    get restarts() {
      return restarts;
    },
    restart(reason) {
      if (closing.signal.aborted) return Promise.reject(new Error("the server is closed"));
      if (!asked) {
        asked = { reason, done: waiting.promise };
        if (current) void stop(current, stopPatienceMs);
      }
      return asked.done;
    },
    writeFailed: writeFailure.failed,
    [Symbol.asyncDispose]() {
      closed ??= close();
      return closed;
    },
  };
}

/** From 100 ms, doubling, to 5 s. */
function longer(delayMs: number): number {
  return Math.min(Math.max(delayMs * 2, retryDelayMsMin), retryDelayMsMax);
}

function spawnServer(binary: string, files: ServerFiles): Running {
  const errorsBefore = sizeOf(files.errors);
  // What the server says before it has its log, and a panic's trace; kept across restarts, but not for ever.
  const errors = openSync(files.errors, errorsBefore > 1024 * 1024 ? "w" : "a", 0o600);
  const child = spawn(binary, serverArguments(files.config), {
    cwd: files.folder,
    // The broker's environment holds secrets that this process has no use for.
    env: {},
    stdio: ["ignore", "ignore", errors],
    // A group of its own: Ctrl-C reaches the broker alone, which drains first and then stops the server.
    detached: process.platform !== "win32",
    windowsHide: true,
  });
  closeSync(errors);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => resolve(`${binary} cannot be run (${error.code})`));
    child.once("exit", (code, signal) => {
      // After a signal from outside, its last line explains nothing.
      resolve(
        signal ? `it ended by ${signal}` : `it ended by code ${code}: ${lastWords(files, errorsBefore)}`,
      );
    });
  });
  return { child, ended, sinceMs: performance.now() };
}

/** SIGTERM, then SIGKILL after `patienceMs`. False if the process is still there: stuck in the kernel. */
async function stop(running: Running, patienceMs: number): Promise<boolean> {
  const gone = running.ended.then(() => true);
  const after = (ms: number) => delay(ms, false, { ref: false });
  running.child.kill("SIGTERM");
  if (await Promise.race([gone, after(patienceMs)])) return true;
  running.child.kill("SIGKILL");
  return Promise.race([gone, after(5000)]);
}

// The program: configuration, the store, the broker, and an orderly end.
// In: the environment, flags, signals. Out: a running broker, an exit code. Never: a data folder shared with another broker.
import { randomBytes } from "node:crypto";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { flushCompileCache } from "node:module";
import { join, resolve } from "node:path";
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { usualThreadLimits } from "./agents/threads.ts";
import { openBroker } from "./broker.ts";
import { steadyClock } from "./clock.ts";
import { type Config, readConfig } from "./config.ts";
import { StartError } from "./core/start-error.ts";
import { greeting } from "./greeting.ts";
import { commitLimits, singleCommits } from "./store/commit-limits.ts";
import { createDataFolder, lockData } from "./store/data-lock.ts";
import { watchDisk } from "./store/disk.ts";
import { answerMsMax, openJetStreamLog } from "./store/jetstream.ts";
import { findNatsServer } from "./store/nats-binary.ts";
import { startNatsServer } from "./store/server.ts";

/** Paths whose values pino never prints. */
const secretPaths = [
  "token",
  "password",
  "authorization",
  "*.token",
  "secret",
  "*.secret",
  "*.password",
  "*.authorization",
  "req.headers.authorization",
];

const firstAnswerMsMax = 15_000;

/** Runs until a signal comes. @throws StartError */
async function run(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<void> {
  const stop = stopSignal();
  const config = readConfig(env, args);
  const log = pino(
    { level: config.logLevel, redact: { paths: secretPaths, censor: "(secret)" } },
    pino.destination({ dest: 2, sync: true }),
  );
  await using stack = new AsyncDisposableStack();

  const dataDir = resolve(config.dataDir);
  createDataFolder(dataDir);
  const embedded = config.natsServers.length === 0 ? await startEmbedded(stack, dataDir, log) : undefined;
  const nc = await connectTo(config, embedded);
  stack.defer(async () => await nc.drain());

  const adminToken = config.adminToken ?? (await keptAdminToken(dataDir));
  let isStarting = true;
  const shared = {
    // A store that was killed may take its time over the first reads; nobody is waiting for an answer yet.
    timeoutMs: () => (isStarting ? firstAnswerMsMax : answerMsMax),
    replicas: config.replicas,
    onTrouble: (message: string) => log.warn(message),
    isFull: () => embedded?.isFull() ?? false,
    // Only the benchmark of group commit asks for anything else.
    limits: process.env.TIDINGS_TEST_COMMIT === "single" ? singleCommits : commitLimits,
  };
  const facts = await openJetStreamLog(nc, { ...shared, stream: "tidings", prefix: "t" });
  const secrets = await openJetStreamLog(nc, { ...shared, stream: "tidings_accounts", prefix: "a" });
  const work = await openJetStreamLog(nc, { ...shared, stream: "tidings_work", prefix: "w" });
  const broker = stack.use(
    await openBroker({
      domain: config.domain,
      registration: config.registration,
      origins: config.origins,
      smtp: config.smtp,
      oidc: config.oidc,
      rateLimit: config.rateLimit,
      adminToken,
      directoryFile: join(dataDir, "directory.sqlite"),
      facts,
      secrets,
      work,
      isAlone: embedded !== undefined,
      webhookAllowPrivate: config.webhookAllowPrivate,
      now: steadyClock(),
      // Alone on its store it is the same keeper after a restart.
      keeper: embedded ? "embedded" : randomBytes(6).toString("base64url"),
      log,
      agentPaths: config.agents,
      // Only tests that share the machine with others ask for agents that do not give way.
      agentLimits: process.env.TIDINGS_TEST_EAGER_AGENTS
        ? { thread: { ...usualThreadLimits, niceness: 0 } }
        : {},
      ailments: () =>
        embedded?.isFull() ? ["the disk is full"] : nc.isClosed() ? ["the bus is closed"] : [],
    }),
  );

  const url = await listen(broker.http, config);
  isStarting = false;
  process.stdout.write(greeting({ url, domain: config.domain, dataDir }));
  // Not at the end alone: whoever is killed has no end.
  flushCompileCache();
  const why = await stop;
  log.info(`${why}: draining`);
}

type Embedded = { readonly url: string; readonly token: string; isFull(): boolean };

async function startEmbedded(
  stack: AsyncDisposableStack,
  dataDir: string,
  log: pino.Logger,
): Promise<Embedded> {
  stack.use(lockData(dataDir));
  const say = (line: string): void => log.info(line);
  const { path } = await findNatsServer({ log: (line) => process.stderr.write(`${line}\n`) });
  const server = stack.use(
    await startNatsServer({
      dataDir,
      binary: path,
      log: say,
      // Only the proof that the durability test can fail asks for anything else.
      syncInterval: process.env.TIDINGS_TEST_UNSAFE_SYNC === "2m" ? "2m" : "always",
    }),
  );
  const disk = stack.use(
    watchDisk({
      dataDir,
      server,
      log: say,
      onFull: () => log.error("the disk is full: writes are refused until there is room"),
      onFree: () => log.info("the disk has room again: writes are accepted"),
    }),
  );
  await disk.check();
  return { url: server.url, token: server.token, isFull: () => disk.full };
}

async function connectTo(config: Config, embedded: Embedded | undefined): Promise<NatsConnection> {
  const where = embedded ? { servers: embedded.url, token: embedded.token } : clusterAt(config.natsServers);
  try {
    return await connect({
      ...where,
      name: "tidings",
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      pingInterval: 5_000,
      // Or each request draws up a stack for an error that it rarely meets.
      noAsyncTraces: true,
    });
  } catch (error) {
    const servers = [where.servers].flat().join(", ");
    throw new StartError(`No NATS server answers at ${servers}: ${(error as Error).message}`);
  }
}

/** Credentials stand before the host: `nats://token@host` or `nats://user:password@host`. */
function clusterAt(given: readonly string[]): ConnectionOptions & { servers: string[] } {
  const urls = given.map((text) => new URL(text.includes("://") ? text : `nats://${text}`));
  const user = decodeURIComponent(urls[0]?.username ?? "");
  const pass = decodeURIComponent(urls[0]?.password ?? "");
  const servers = urls.map(({ protocol, host }) => `${protocol}//${host}`);
  if (user === "") return { servers };
  return pass === "" ? { servers, token: user } : { servers, user, pass };
}

async function keptAdminToken(dataDir: string): Promise<string> {
  const path = join(dataDir, "admin-token");
  try {
    await chmod(path, 0o600);
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const token = randomBytes(24).toString("base64url");
  await writeFile(path, `${token}\n`, { mode: 0o600, flag: "wx" });
  return token;
}

async function listen(
  http: { listen(host: string, port: number): Promise<string> },
  { host, port }: Config,
): Promise<string> {
  try {
    return await http.listen(host, port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE")
      throw new StartError(
        `Port ${port} on ${host} is in use; set TIDINGS_PORT to another, or to 0 for a free one.`,
      );
    throw new StartError(`Cannot listen on ${host}, port ${port}: ${(error as Error).message}`);
  }
}

/** The first signal drains; a second one ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let told = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (told) process.exit(130);
        told = true;
        resolve(signal);
      });
    }
  });
}

/** Runs the program to its end and leaves the exit code. */
export async function main(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<void> {
  try {
    await run(env, args);
    process.exit(0);
  } catch (error) {
    const line = error instanceof StartError ? error.message : ((error as Error).stack ?? String(error));
    process.stderr.write(`tidings: ${line}\n`);
    process.exit(1);
  }
}

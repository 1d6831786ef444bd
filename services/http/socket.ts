// /v1/socket: commands and events over one WebSocket (RFC 6455), subprotocol `tidings.v1`.
// In: upgrades and frames. Out: replies by number, events with cursors, a close code that says whether to come back. Never: more in memory for one reader than its cap.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { FastifyBaseLogger, FastifyInstance } from "fastify";
import { Type } from "typebox";
import { type WebSocket, WebSocketServer } from "ws";
import { closings } from "../../schemas/wire/frames.ts";
import type { Accounts } from "../accounts/accounts.ts";
import { type Json, parseJson } from "../core/json.ts";
import type { Caller } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Messages } from "../messages/messages.ts";
import type { PropertyService } from "../property/properties.ts";
import { type Delivery, toldEvent, type Watcher, type Watching } from "../watch/watching.ts";
import type { Lookups } from "./lookups.ts";
import { type Operations, openOperations } from "./operations.ts";
import { requireOrigin } from "./origins.ts";
import { problemOf, refusalOf, retryAfter } from "./problem.ts";
import { type Asker, askerKey, type Quotas } from "./quotas.ts";
import { recall } from "./recall.ts";
import { describe } from "./route.ts";
import type { Streams } from "./streams.ts";
import { readWatchQuery, streamQuery, wishOf } from "./watch-query.ts";

export interface SocketDeps {
  readonly accounts: Accounts;
  readonly properties: PropertyService;
  readonly messages: Pick<Messages, "send">;
  readonly watching: Watching;
  readonly streams: Streams;
  readonly quotas: Quotas;
  readonly lookups: Lookups;
  readonly origins: ReadonlySet<string>;
  readonly log: FastifyBaseLogger;
  /** Who comes with this request. @throws Refusal */
  readonly callerOf: (request: IncomingMessage, ticket: string | undefined) => Promise<Caller>;
}

const SocketQuery = Type.Object(streamQuery);

const path = "/v1/socket";
const protocol = "tidings.v1";
const frameBytesMax = 256 * 1024;
const fragmentsMax = 64;
const jsonDepthMax = 32;
/** Commands of one socket under way; what comes beyond them waits in the sender's own buffers. */
const underWayMax = 256;
/** Replies that may wait for a reader that does not read. */
const repliesBytesMax = 1024 * 1024;
/** Frames that cannot be read; whoever sends more speaks another language. */
const rubbishMax = 20;
/** Twice without any sign of life: the other end is gone. */
const pingMs = 20_000;

/** How long the other end may take to say goodbye. */
const closeMs = 2_000;

export function socketRoutes(app: FastifyInstance, deps: SocketDeps): void {
  const operations = openOperations(deps.properties, deps.messages, deps.quotas, deps.lookups);
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: frameBytesMax,
    maxFragments: fragmentsMax,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });

  app.get(
    path,
    describe({
      id: "socket",
      summary: "Commands and events over one WebSocket, subprotocol tidings.v1",
      description: "Frames are described in /asyncapi.json. `?after=` resumes all that the caller watches.",
      tag: "Watching",
      access: "open",
      query: SocketQuery,
      answers: { 101: { description: "Switching to WebSocket.", schema: Type.Unsafe<unknown>({}) } },
      refusals: ["bad-cursor", "origin-refused", "unauthenticated", "upgrade-required"],
    }),
    async () => {
      throw new Refusal("upgrade-required", "Open a WebSocket here.");
    },
  );

  // What is no proper handshake for the library; another version is told which one is spoken (RFC 6455 §4.2.2).
  server.on("wsClientError", (error, socket) =>
    refuse(socket, new Refusal("upgrade-required", `${error.message}.`)),
  );

  app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    void upgrade(request, socket, head).catch((error: unknown) => refuse(socket, refusalOf(error)));
  });

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = URL.parse(`http://localhost${request.url}`);
    if (url?.pathname !== path) throw new Refusal("not-found", "There is no such socket.");
    requireOrigin(request.headers, deps.origins);
    const offered = request.headers["sec-websocket-protocol"]?.split(",").map((one) => one.trim());
    if (offered && !offered.includes(protocol)) {
      throw new Refusal("bad-request", `The subprotocol here is ${protocol}.`);
    }
    const ip = request.socket.remoteAddress;
    const ticket = url.searchParams.get("ticket") ?? undefined;
    const caller = await deps.callerOf(request, ticket).catch((error: unknown) => {
      deps.quotas.take("requests", { caller: undefined, ip });
      throw error;
    });
    const who = { caller, ip };
    deps.quotas.take("requests", who);
    const connection: { current: Connection | undefined } = { current: undefined };
    const query = {
      watch: url.searchParams.getAll("watch"),
      self: url.searchParams.get("self") === "true",
      reveal: url.searchParams.get("reveal") ?? "",
      ...(url.searchParams.has("after") && { after: url.searchParams.get("after") ?? "" }),
    };
    const { reader } = deps.properties;
    const { targets, after } = await readWatchQuery({ caller, query }, reader, undefined, "socket");
    await deps.lookups.watch(who, targets.map(wishOf));
    const watcher = await deps.watching.open({
      caller,
      payer: askerKey(who),
      via: "websocket",
      targets,
      own: caller !== undefined,
      after,
      onReady: () => connection.current?.write(),
      onTakenBack: () => recall(socket, () => socket.writableNeedDrain),
    });
    if (socket.destroyed || deps.streams.isDraining) {
      watcher[Symbol.dispose]();
      throw new Refusal("unavailable", "This broker is about to stop; come back in a moment.");
    }
    server.handleUpgrade(request, socket, head, (ws) => {
      connection.current = connect(ws, socket, who, watcher, operations, deps);
      connection.current.write();
    });
    // A handshake that the library refused left nobody to end the stream.
    if (connection.current === undefined) watcher[Symbol.dispose]();
  }
}

interface Connection {
  /** Sends what is owed, as far as the reader has room. */
  write(): void;
}

function connect(
  ws: WebSocket,
  socket: Duplex,
  who: Asker,
  watcher: Watcher,
  operations: Operations,
  { streams, quotas, log }: SocketDeps,
): Connection {
  let underWay = 0;
  let rubbish = 0;
  let silences = 0;
  const stream = streams.add(who.caller, (why) => {
    close(why);
    setTimeout(() => ws.terminate(), closeMs).unref();
  });
  const heartbeat = setInterval(() => {
    if (++silences > 2) ws.terminate();
    else ws.ping();
  }, pingMs);

  function close(why: keyof typeof closings): void {
    const { code, reason } = closings[why];
    ws.close(code, reason);
  }

  const isFull = (): boolean => socket.writableNeedDrain;

  function write(): void {
    if (isFull()) return;
    // One system call for all that is owed now: also a group of changes is never half on the wire.
    socket.cork();
    while (!isFull() && ws.readyState === ws.OPEN) {
      const deliveries = watcher.take();
      if (deliveries.length === 0) break;
      for (const delivery of deliveries) ws.send(frame(delivery));
    }
    socket.uncork();
  }

  function reply(id: Json, answer: object): void {
    if (ws.readyState !== ws.OPEN) return;
    ws.send(JSON.stringify({ id, ...answer }));
    if (socket.writableLength > repliesBytesMax) ws.pause();
  }

  async function run(command: { readonly [key: string]: Json }): Promise<void> {
    const { id = null } = command;
    if (++underWay >= underWayMax) ws.pause();
    try {
      reply(id, { ok: await operations.run(who, watcher, command) });
    } catch (error) {
      const refusal = refusalOf(error);
      // It counts as under way meanwhile, so that a flood of them is not even read.
      if (refusal.code === "rate-limited") await new Promise<void>(quotas.late);
      if (refusal.code === "internal") log.error({ err: error }, "a command failed");
      reply(id, { problem: problemOf(refusal) });
    }
    underWay--;
    resume();
  }

  function resume(): void {
    if (ws.isPaused && underWay < underWayMax && socket.writableLength <= repliesBytesMax) ws.resume();
  }

  ws.on("message", (data: Buffer, isBinary) => {
    // Whoever was told to go is not served any more.
    if (ws.readyState !== ws.OPEN) return;
    silences = 0;
    if (isBinary) return close("unsupported");
    let command: Json;
    try {
      command = parseJson(data.toString("utf8"), jsonDepthMax);
      if (typeof command !== "object" || command === null || Array.isArray(command))
        throw new Refusal("bad-request", "A frame is one JSON object with id and op.");
    } catch (error) {
      reply(null, { problem: problemOf(refusalOf(error)) });
      if (++rubbish >= rubbishMax) close("unreadable");
      return;
    }
    void run(command);
  });
  ws.on("pong", () => {
    silences = 0;
  });
  ws.on("error", () => ws.terminate());
  ws.on("close", () => {
    clearInterval(heartbeat);
    stream[Symbol.dispose]();
    watcher[Symbol.dispose]();
  });
  socket.on("drain", () => {
    resume();
    write();
  });
  return { write };
}

function frame(delivery: Delivery): string {
  const { shared, cursor, skipped } = delivery;
  const json = skipped === 0 ? shared.json : JSON.stringify(toldEvent(delivery));
  return `{"event":${json},"cursor":"${cursor}"}`;
}

/** Before the handshake a refusal is plain HTTP. */
function refuse(socket: Duplex, refusal: Refusal): void {
  if (socket.destroyed) return;
  const problem = problemOf(refusal);
  const body = JSON.stringify(problem);
  const seconds = retryAfter(refusal);
  const wait = seconds === undefined ? "" : `Retry-After: ${seconds}\r\n`;
  const version = refusal.code === "upgrade-required" ? "Sec-WebSocket-Version: 13\r\n" : "";
  socket.end(
    `HTTP/1.1 ${problem.status} Refused\r\nContent-Type: application/problem+json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${wait}${version}Connection: close\r\n\r\n${body}`,
  );
}

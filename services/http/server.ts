// The HTTP face: one fastify instance with every resource on it. The folder's public file.
// In: the services. Out: a listening server, and its graceful end. Never: a decision about properties; it parses, calls and answers.
import type { IncomingMessage } from "node:http";
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from "fastify";
import { Counter, type Registry } from "prom-client";
import type { Accounts } from "../accounts/accounts.ts";
import type { Agents } from "../agents/agents.ts";
import { parseJson } from "../core/json.ts";
import type { Caller, Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Soon } from "../core/soon.ts";
import type { Directory } from "../directory/directory.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import type { Groups } from "../groups/groups.ts";
import type { Messages } from "../messages/messages.ts";
import type { Policies } from "../policy/policies.ts";
import type { PropertyService } from "../property/properties.ts";
import type { Deliveries, Explain, Standing, Subscriptions, Watchers, Watching } from "../watch/watching.ts";
import { accountRoutes } from "./accounts.ts";
import { agentRoutes } from "./agents.ts";
import { asyncApi } from "./asyncapi.ts";
import { auditRoutes } from "./audit.ts";
import { authenticator, bearerOf } from "./auth.ts";
import { cutOffPipelines, passOverExpectations, refuseBadHttp, untouchedSockets } from "./connections.ts";
import { deliveryRoutes } from "./deliveries.ts";
import { directoryRoutes } from "./directory.ts";
import { emailRoutes } from "./emails.ts";
import { eventRoutes } from "./events.ts";
import { explainRoutes } from "./explain.ts";
import { forwardRoutes } from "./forwards.ts";
import { groupRoutes } from "./groups.ts";
import { healthRoutes } from "./health.ts";
import { invitationRoutes } from "./invitations.ts";
import { leaseRoutes } from "./leases.ts";
import { freeLookups, type Lookups, openLookups } from "./lookups.ts";
import { messageRoutes } from "./messages.ts";
import { nodeRoutes } from "./nodes.ts";
import { openApi } from "./openapi.ts";
import { shareWith } from "./origins.ts";
import { policyRoutes } from "./policies.ts";
import { pollRoutes } from "./poll.ts";
import { handleError, sendProblem } from "./problem.ts";
import { propertyRoutes } from "./properties.ts";
import { type Limits, noQuotas, openQuotas, type Quotas } from "./quotas.ts";
import { rosterRoutes } from "./roster.ts";
import { methodsAt } from "./route.ts";
import { socketRoutes } from "./socket.ts";
import { watchStalls } from "./stalls.ts";
import { openStreams } from "./streams.ts";
import { subscriptionRoutes } from "./subscriptions.ts";
import { typeRoutes } from "./types.ts";
import { ajvCompiler } from "./validation.ts";
import { watcherRoutes } from "./watchers.ts";

export interface HttpDeps {
  readonly domain: string;
  readonly adminToken: string;
  readonly accounts: Accounts;
  readonly policies: Policies;
  readonly groups: Groups;
  readonly forwarding: Forwarding;
  readonly properties: PropertyService;
  readonly watching: Watching;
  readonly messages: Messages;
  readonly subscriptions: Subscriptions;
  readonly agents: Agents;
  readonly deliveries: Pick<Deliveries, "attempts" | "replay">;
  readonly watchers: Watchers;
  readonly explain: Explain;
  readonly directory: Pick<Directory, "search">;
  /** Origins of pages that may open sockets and streams, besides the broker's own. */
  readonly origins: ReadonlySet<string>;
  readonly metrics: Registry;
  /** Undefined: everybody may ask for as much as there is. */
  readonly limits: Limits | undefined;
  readonly now: () => number;
  readonly standing: Pick<Standing, "ofAnybody">;
  /** Why the broker cannot serve right now; none when it can. */
  readonly ailments: () => Promise<readonly string[]>;
  readonly log: FastifyBaseLogger;
}

export interface HttpServer extends AsyncDisposable {
  /** @returns the URL that it listens on */
  listen(host: string, port: number): Promise<string>;
  readonly app: FastifyInstance;
}

const bodyBytesMax = 256 * 1024;
const jsonDepthMax = 32;
const headersTimeoutMs = 8_000;
/** How long requests that are under way may take once the broker is told to stop. */
const drainMs = 10_000;
const closeIdleMs = 50;

export async function openHttp(deps: HttpDeps): Promise<HttpServer> {
  const app = Fastify({
    loggerInstance: childless(deps.log),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyBytesMax,
    // Longer than any legal address, so that an illegal one is told what is wrong instead of "no such route".
    routerOptions: { maxParamLength: 16_384 },
    http: {
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 32 * 1024,
      // Asked below, to be refused in the words of all refusals.
      requireHostHeader: false,
      // Whoever offers another protocol than WebSocket gets its answer in this one (RFC 9110 §7.8).
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
    },
    requestTimeout: 60_000,
    forceCloseConnections: "idle",
    // Who is already connected is served to the end of its request.
    return503OnClosing: false,
    clientErrorHandler: refuseBadHttp,
    frameworkErrors: (error, request, reply) => void handleError(error, request, mark(request, reply)),
  });
  app.decorateRequest("caller", undefined);
  app.setErrorHandler(handleError);
  app.setValidatorCompiler(ajvCompiler());
  app.setSerializerCompiler(() => (body) => JSON.stringify(body));
  parseStrictly(app);
  // Before anything can be refused: pages are to read why.
  await shareWith(app, deps.origins);
  const streams = openStreams(deps.accounts);
  const stalls = watchStalls(deps.metrics);
  const closing = new AbortController();
  const callerOf = authenticator(deps.accounts, deps.adminToken);
  const { quotas, lookups } = openLimits(deps);
  app.addHook("onRequest", (request, reply, done) => {
    mark(request, reply);
    // The connection ends with this answer, so that no further request meets a closed one.
    if (streams.isDraining) reply.header("connection", "close");
    // A refusal for who asks comes before one for what is asked, and one for how often before both. */
    const enter = (caller: Caller, error?: Error): void => {
      request.caller = caller;
      try {
        quotas.admit(request, reply);
      } catch (tooMany) {
        quotas.late(() => done(tooMany as Error));
        return;
      }
      done(error);
    };
    if (request.headers.host === undefined && request.raw.httpVersion === "1.1") {
      // RFC 9112 §3.2; who does not know that may not know where a request ends either.
      reply.header("connection", "close");
      enter(undefined, new Refusal("bad-request", "A request of HTTP/1.1 has the header field Host."));
      return;
    }
    let caller: Soon<Caller>;
    try {
      caller = callerOf(request);
    } catch (error) {
      enter(undefined, error as Error);
      return;
    }
    // A token that is not good is counted for where it came from.
    if (caller instanceof Promise) caller.then(enter, (error: Error) => enter(undefined, error));
    else enter(caller);
  });

  async function callerOfUpgrade(
    { headers }: IncomingMessage,
    ticket: string | undefined,
  ): Promise<Principal | undefined> {
    const token = bearerOf(headers.authorization);
    if (token !== undefined) return await deps.accounts.principalOf(token);
    return ticket === undefined ? undefined : await deps.accounts.principalOfTicket(ticket);
  }

  const routes = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const methods = routes.get(url) ?? new Set<string>();
    for (const one of [method].flat()) methods.add(one);
    routes.set(url, methods);
  });
  await openApi(app);
  asyncApi(app);
  const { reader } = deps.properties;
  accountRoutes(app, { ...deps, quotas });
  emailRoutes(app, deps);
  invitationRoutes(app, deps);
  auditRoutes(app, deps);
  nodeRoutes(app, { ...deps, lookups, quotas });
  propertyRoutes(app, { ...deps, lookups, quotas });
  leaseRoutes(app, deps);
  rosterRoutes(app, { ...deps, lookups, quotas });
  typeRoutes(app, deps);
  subscriptionRoutes(app, { ...deps, lookups });
  deliveryRoutes(app, deps);
  agentRoutes(app, deps.agents);
  messageRoutes(app, { ...deps, reader });
  policyRoutes(app, deps);
  groupRoutes(app, deps);
  forwardRoutes(app, deps);
  watcherRoutes(app, deps);
  explainRoutes(app, deps);
  directoryRoutes(app, { search: deps.directory.search, reader, quotas });
  eventRoutes(app, { ...deps, reader, streams, lookups });
  pollRoutes(app, { ...deps, reader, streams, lookups });
  socketRoutes(app, { ...deps, streams, quotas, lookups, callerOf: callerOfUpgrade });
  healthRoutes(app, deps);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0] ?? "";
    const allowed = methodsAt(routes, path);
    if (allowed.length === 0)
      return sendProblem(reply, new Refusal("not-found", "There is no such resource."));
    reply.header("allow", allowed.join(", "));
    return sendProblem(
      reply,
      new Refusal("method-not-allowed", `${request.method} is not for this resource.`),
    );
  });
  await app.ready();
  const untouched = untouchedSockets(app.server, closing.signal);
  cutOffPipelines(app.server);
  passOverExpectations(app.server);

  return {
    app,
    listen: async (host, port) => await app.listen({ host, port }),
    async [Symbol.asyncDispose]() {
      closing.abort();
      await streams.drain();
      for (const socket of untouched) socket.destroy();
      // A connection that stays open after its last answer would hold the end up.
      const idle = setInterval(() => app.server.closeIdleConnections(), closeIdleMs);
      const forced = setTimeout(() => app.server.closeAllConnections(), drainMs);
      await app.close();
      clearInterval(idle);
      clearTimeout(forced);
      stalls[Symbol.dispose]();
    },
  };
}

function openLimits({ limits, now, standing, metrics }: HttpDeps): { quotas: Quotas; lookups: Lookups } {
  if (limits === undefined) return { quotas: noQuotas, lookups: freeLookups };
  const refused = new Counter({
    name: "tidings_rate_limited_total",
    help: "What was refused since somebody asked for too much, by quota.",
    labelNames: ["quota"],
    registers: [metrics],
  });
  const onRefused = (quota: string): void => refused.inc({ quota });
  const quotas = openQuotas({ limits, now, onRefused });
  return {
    quotas,
    lookups: openLookups({ limit: limits.enumeration, quotas, now, onRefused, standing }),
  };
}

/** A logger for each request would be made a thousand times for each time that one is used. */
function childless(log: FastifyBaseLogger): FastifyBaseLogger {
  const itself: FastifyBaseLogger = Object.assign(Object.create(log) as FastifyBaseLogger, {
    child: () => itself,
  });
  return itself;
}

/** What every answer carries. */
function mark(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.header("tidings-request-id", request.id).header("x-content-type-options", "nosniff");
}

function parseStrictly(app: FastifyInstance): void {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>("application/json", { parseAs: "buffer" }, (_, body, done) => {
    try {
      done(null, parseJson(decode(utf8, body), jsonDepthMax));
    } catch (error) {
      done(error as Error);
    }
  });
}

function decode(utf8: { decode(bytes: Buffer): string }, body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch {
    // The decoder only says that it failed, which is all that the caller needs to know.
    throw new Refusal("bad-json", "The body is not UTF-8.");
  }
}

// /asyncapi.json: what is said on streams, sockets and polls, as AsyncAPI 3.1, told from the side of a client.
// In: the schemas of events, frames and answers; what /openapi.json says. Out: one document. Never: a schema kept beside the one that is used.
import type { FastifyInstance } from "fastify";
import { type TObject, type TSchema, Type } from "typebox";
import { events } from "../../schemas/wire/events.ts";
import { closings, frames } from "../../schemas/wire/frames.ts";
import { Patched, Polled, Problem, Property, Renewed, Sent } from "../../schemas/wire/shapes.ts";
import { Subscription } from "../../schemas/wire/subscriptions.ts";
import { describe } from "./route.ts";

/** What is looked at of /openapi.json. */
interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly license: { name: string } };
  readonly components: { readonly securitySchemes: object };
  readonly paths: Readonly<Record<string, { readonly get: Resource }>>;
}

interface Resource {
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly in: string;
    readonly name: string;
    readonly schema: object;
    readonly description?: string;
  }[];
}

/** A channel, and what is done on it. */
interface Part {
  readonly channel: object;
  readonly operations: Readonly<Record<string, object>>;
}

interface Reference {
  readonly $ref: string;
}

/** What `ok` carries where there is something to say, by operation. */
const { id: subscription, state } = Subscription.properties;
const oks: Readonly<Record<string, TSchema>> = {
  watch: Type.Object({ subscription, state }),
  unwatch: Type.Object({ subscription }),
  set: Property,
  patch: Patched,
  renew: Renewed,
  send: Sent,
};

const cursor = Type.String({ description: "Resume after it, on whichever transport." });
const problem = Type.Unsafe<unknown>(ref("components", "schemas", "problem"));
const event = Type.Unsafe<unknown>({
  oneOf: Object.keys(events).map((type) => ref("components", "schemas", type)),
});
const refused = { name: "problem", contentType: "application/problem+json", payload: problem };
const correlationId = { description: "The number of the request.", location: "$message.payload#/id" };
const bearer = ref("components", "securitySchemes", "bearer");
const bearerOrTicket = [bearer, ref("components", "securitySchemes", "ticket")];

export function asyncApi(app: FastifyInstance): void {
  let document: object | undefined;
  app.get(
    "/asyncapi.json",
    describe({
      id: "asyncapi",
      summary: "Events, and the frames of the socket",
      tag: "Operation",
      access: "open",
      answers: { 200: { description: "AsyncAPI 3.1.", schema: Type.Unsafe<unknown>({ type: "object" }) } },
      refusals: [],
    }),
    async () => {
      document ??= draw(app.swagger() as unknown as OpenApi);
      return document;
    },
  );
}

function draw({ info, components, paths }: OpenApi): object {
  const at = (path: string): Resource => paths[path]?.get as Resource;
  const { after, ticket } = parameters(at("/v1/events"), "query");
  const stream = eventsPart(at("/v1/events"));
  // A cursor and a ticket mean the same on both.
  const socket = socketPart(at("/v1/socket"), object({ after, ticket }));
  const poll = pollPart(at("/v1/poll"));
  return {
    asyncapi: "3.1.0",
    info: {
      title: info.title,
      version: info.version,
      license: { name: info.license.name },
      description:
        "What a client sends and receives while it watches. All other requests and answers are in /openapi.json. Without a token or a ticket one may watch what everybody may see.",
    },
    defaultContentType: "application/json",
    servers: { http: server("http"), ws: server("ws") },
    channels: { events: stream.channel, socket: socket.channel, poll: poll.channel },
    operations: { ...stream.operations, ...socket.operations, ...poll.operations },
    components: {
      schemas: { ...events, problem: Problem },
      securitySchemes: {
        ...components.securitySchemes,
        ticket: {
          type: "httpApiKey",
          in: "query",
          name: "ticket",
          description: "A ticket of POST /v1/tickets, for browsers; it is good once.",
        },
      },
    },
  };
}

function eventsPart(resource: Resource): Part {
  const messages: Record<string, object> = { request: request(resource), problem: refused };
  for (const [type, { description }] of Object.entries(events) as [string, { description: string }][]) {
    messages[type] = {
      name: type,
      summary: description,
      contentType: "application/cloudevents+json",
      headers: Type.Object({ id: cursor, event: Type.Literal(type) }),
      payload: ref("components", "schemas", type),
    };
  }
  return {
    channel: {
      address: "/v1/events",
      description:
        "Server-Sent Events (WHATWG HTML §9.2). The headers of a message are the fields `id` and `event` of its frame, the payload is its field `data`. `retry` says how many milliseconds to wait before coming back; comments only show that the stream is alive.",
      servers: [ref("servers", "http")],
      messages,
    },
    operations: {
      openEvents: { ...gets("events", resource, ["problem"]), security: bearerOrTicket },
      receiveEvents: receives("events", Object.keys(events)),
    },
  };
}

function socketPart({ description }: Resource, query: object): Part {
  const anyId = Type.Unsafe<unknown>({ description: "As it came; null if it could not be read." });
  const messages: Record<string, object> = {
    event: { name: "event", payload: Type.Object({ event, cursor }) },
    problem: { name: "problem", correlationId, payload: Type.Object({ id: anyId, problem }) },
  };
  const operations: Record<string, object> = { receiveFrames: receives("socket", ["event"]) };
  for (const [op, frame] of Object.entries(frames)) {
    const { id } = (frame as TObject<{ id: TSchema }>).properties;
    const ok = oks[op] ?? Type.Object({});
    messages[op] = { name: op, correlationId, payload: frame };
    messages[`${op}.ok`] = { name: `${op}.ok`, correlationId, payload: Type.Object({ id, ok }) };
    operations[op] = { ...sends("socket", op, [`${op}.ok`, "problem"]), security: bearerOrTicket };
  }
  const headers = Type.Object({ "Sec-WebSocket-Protocol": Type.Literal("tidings.v1") });
  return {
    channel: {
      address: "/v1/socket",
      description: `${description} Requests may be pipelined; each is answered by its \`id\`. A handshake that is refused is answered with a problem over HTTP. \`x-close-codes\` says why the broker closes a socket.`,
      servers: [ref("servers", "ws")],
      bindings: { ws: { method: "GET", query, headers, bindingVersion: "0.1.0" } },
      "x-close-codes": closeCodes(),
      messages,
    },
    operations,
  };
}

/** Why the broker closes a socket, by code. */
function closeCodes(): Readonly<Record<string, string>> {
  const byCode = Map.groupBy(Object.values(closings), ({ code }) => code);
  return Object.fromEntries(
    [...byCode].map(([code, all]) => [code, all.map(({ reason }) => reason).join(" Or: ")]),
  );
}

function pollPart(resource: Resource): Part {
  const payload = Type.Object({ ...Polled.properties, events: Type.Array(event) });
  return {
    channel: {
      address: "/v1/poll",
      servers: [ref("servers", "http")],
      messages: { request: request(resource), polled: { name: "polled", payload }, problem: refused },
    },
    operations: { poll: { ...gets("poll", resource, ["polled", "problem"]), security: [bearer] } },
  };
}

/** A GET request: all of it is in its head. */
function request(resource: Resource): object {
  return { name: "request", headers: object(parameters(resource, "header")) };
}

function gets(channel: string, resource: Resource, replies: readonly string[]): object {
  const query = object(parameters(resource, "query"));
  return {
    ...sends(channel, "request", replies),
    summary: resource.summary,
    bindings: { http: { method: "GET", query, bindingVersion: "0.3.0" } },
  };
}

function sends(channel: string, message: string, replies: readonly string[]): object {
  return { action: "send", ...on(channel, [message]), reply: on(channel, replies) };
}

function receives(channel: string, messages: readonly string[]): object {
  return { action: "receive", ...on(channel, messages), security: bearerOrTicket };
}

function on(channel: string, messages: readonly string[]): object {
  return {
    channel: ref("channels", channel),
    messages: messages.map((message) => ref("channels", channel, "messages", message)),
  };
}

function parameters(resource: Resource, place: "query" | "header"): Record<string, object> {
  const here = (resource.parameters ?? []).filter((one) => one.in === place);
  return Object.fromEntries(here.map(({ name, schema, description }) => [name, { ...schema, description }]));
}

function object(properties: Readonly<Record<string, object | undefined>>): object {
  return { type: "object", properties };
}

function server(protocol: "http" | "ws"): object {
  return {
    host: "{host}",
    protocol,
    description: `This broker. ${protocol}s where its operator put TLS in front of it.`,
    variables: { host: { default: "127.0.0.1:4280", description: "Where this document came from." } },
  };
}

function ref(...path: readonly string[]): Reference {
  return { $ref: `#/${path.join("/")}` };
}

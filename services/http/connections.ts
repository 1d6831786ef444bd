// Connections: what is done with them below the requests that they carry.
// In: a server of Node's, its connections. Out: answers to what is no HTTP, and ends of connections. Never: a look at a route.
import type { Server } from "node:http";
import type { Socket } from "node:net";

/** Connections that have not sent a request yet. Node takes them for busy, so that nobody else would end them. */
export function untouchedSockets(server: Server, closing: AbortSignal): ReadonlySet<Socket> {
  const untouched = new Set<Socket>();
  server.on("connection", (socket) => {
    if (closing.aborted) return void socket.destroy();
    untouched.add(socket);
    socket.once("close", () => untouched.delete(socket));
  });
  server.on("request", ({ socket }) => untouched.delete(socket));
  return untouched;
}

/** Requests that wait for their answer on one connection; Node has no bound of its own for what is pipelined. */
const pipelinedMax = 256;

export function cutOffPipelines(server: Server): void {
  const unanswered = new WeakMap<Socket, number>();
  server.on("request", ({ socket }, response) => {
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > pipelinedMax) return void socket.destroy();
    unanswered.set(socket, count);
    response.once("close", () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
  });
}

/** Node would refuse an Expect that it does not know in words of its own; it may as well be passed over (RFC 9110 §10.1.1). */
export function passOverExpectations(server: Server): void {
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
}

/** What is not HTTP never reaches a route: it is answered on the socket, and the socket is closed (RFC 9112 §9.6). */
export function refuseBadHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, title] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? ["431 Request Header Fields Too Large", "The headers are too large"]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408 Request Timeout", "The request took too long to arrive"]
        : ["400 Bad Request", "This is not HTTP"];
  const body = JSON.stringify({
    type: "/problems/bad-request",
    title,
    status: Number(status?.slice(0, 3)),
    code: "bad-request",
    detail: "The connection is closed; send a well-formed HTTP/1.1 request.",
  });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

// Closing: what a request holds is given back when it is over, however it ends.
// In: a response, the connection that it goes out on. Out: word that it is over, once. Never: a response that waits behind another when its connection ends, and is told of nothing (Node tells only the one that is being sent).
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

const waiting = new WeakMap<Socket, Set<() => void>>();

export function onceClosed(response: ServerResponse, socket: Socket, act: () => void): void {
  const acts = waiting.get(socket) ?? listen(socket);
  const over = (): void => {
    if (!acts.delete(over)) return;
    response.off("close", over);
    act();
  };
  acts.add(over);
  response.once("close", over);
  if (response.destroyed || socket.destroyed) over();
}

/** One listener a connection: it may bring hundreds of requests, one after the other. */
function listen(socket: Socket): Set<() => void> {
  const acts = new Set<() => void>();
  waiting.set(socket, acts);
  socket.once("close", () => {
    for (const over of [...acts]) over();
  });
  return acts;
}

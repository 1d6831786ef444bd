// Recall: what lies in a connection's buffers when its reader may not see it any more.
// In: a connection whose reader is slow. Out: a reset, unless it has read on within a second. Never: a reader that keeps up and is cut off.
import type { Duplex, Writable } from "node:stream";

/** P9: what was accepted before a block may arrive for a second. */
export const recallMs = 800;

/** Those that are to read on: of each watch of one reader it may be taken back. */
const recalled = new WeakSet<Writable>();

/** The reader comes back with its cursor and is owed nothing of what was hidden. */
export function recall(connection: Writable & { readonly socket?: unknown }, isFull: () => boolean): void {
  if (recalled.has(connection) || !isFull()) return;
  recalled.add(connection);
  const onDrain = (): void => {
    recalled.delete(connection);
    clearTimeout(timer);
  };
  const timer = setTimeout(() => {
    connection.off("drain", onDrain);
    const socket = (connection.socket ?? connection) as Duplex & { resetAndDestroy?: () => void };
    if (socket.resetAndDestroy) socket.resetAndDestroy();
    else socket.destroy();
  }, recallMs);
  timer.unref();
  connection.once("drain", onDrain);
}

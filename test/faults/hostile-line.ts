// A line for hostile requests: raw bytes on a connection of its own, and the answer, whatever became of the connection.
// In: bytes. Out: status, head and body of each answer, or that the broker hung up. Never: a request tidied up on its way.
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface HostileAnswer {
  /** 0: the broker hung up without a word. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

export interface HostileLine extends Disposable {
  /** @param rest what is not even HTTP: then the line says nothing more, and waits until the broker hangs up */
  send(bytes: Buffer, method: string, rest?: "ends"): Promise<HostileAnswer>;
}

const patienceMs = 20_000;

export function openHostileLine(port: number): HostileLine {
  let socket: Socket | undefined;

  async function send(bytes: Buffer, method: string, rest?: "ends"): Promise<HostileAnswer> {
    const fresh = rest === "ends" || socket === undefined || socket.destroyed;
    if (fresh) {
      socket?.destroy();
      socket = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
      socket.on("error", () => undefined);
      await Promise.race([once(socket, "connect"), once(socket, "close")]);
    }
    const answer = await ask(socket as Socket, bytes, method, rest === "ends");
    // It had been closed before this was sent: that is no answer to it.
    if (answer === undefined && !fresh) {
      socket?.destroy();
      return await send(bytes, method, rest);
    }
    return answer ?? { status: 0, head: "", body: "" };
  }

  return { send, [Symbol.dispose]: () => void socket?.destroy() };
}

function ask(
  socket: Socket,
  bytes: Buffer,
  method: string,
  ends: boolean,
): Promise<HostileAnswer | undefined> {
  return new Promise((resolve, reject) => {
    let text = "";
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer in ${patienceMs / 1000} s to ${bytes.toString("latin1", 0, 300)}`));
    }, patienceMs);

    function done(answer: HostileAnswer | undefined): void {
      clearTimeout(late);
      socket.off("data", take).off("close", closed).off("end", ended);
      if (ends || answer === undefined || /\r\nconnection: close/i.test(answer.head)) socket.destroy();
      resolve(answer);
    }
    function take(chunk: Buffer): void {
      text += chunk.toString("latin1");
      const answer = parse(text, method);
      if (answer === "stream") {
        socket.destroy();
        done(headOf(text));
      } else if (answer) done(answer);
    }
    function closed(): void {
      done(text === "" ? undefined : headOf(text));
    }
    function ended(): void {
      socket.destroy();
    }
    socket.on("data", take).once("close", closed).once("end", ended);
    if (socket.destroyed) return closed();
    if (ends) socket.end(bytes);
    else socket.write(bytes);
  });
}

function headOf(text: string): HostileAnswer {
  const end = text.indexOf("\r\n\r\n");
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0),
    head: text.slice(0, end),
    body: text.slice(end + 4),
  };
}

/** Undefined while it is not whole; a stream never is. */
function parse(text: string, method: string): HostileAnswer | "stream" | undefined {
  if (/^HTTP\/1\.1 100 /.test(text)) return parse(text.slice(text.indexOf("\r\n\r\n") + 4), method);
  if (!text.includes("\r\n\r\n")) return undefined;
  const { status, head, body } = headOf(text);
  if (status === 101 || /\r\ncontent-type: text\/event-stream/i.test(head)) return "stream";
  if (method === "HEAD" || status === 204 || status === 304) return { status, head, body: "" };
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined)
    return body.length >= Number(length) ? { status, head, body: body.slice(0, Number(length)) } : undefined;
  return body.endsWith("0\r\n\r\n") ? { status, head, body } : undefined;
}

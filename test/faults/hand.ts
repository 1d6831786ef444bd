// A hand: one account's requests to whichever broker, over connections that are kept.
// In: brokers, a token, chance. Out: answers. Never: two requests at a time on one connection.
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, type Line, openLine, requestBytes } from "../../bench/lean-http.ts";
import type { Random } from "../simulation/random.ts";
import { portOf, type Where } from "./targets.ts";

const retryDelayMs = 50;

export interface Hand extends Disposable {
  /** Asks a broker by chance. */
  asks(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Asks again while the store is too busy; for what may be done twice. @throws unless the status is 2xx in the end */
  does(method: string, path: string, body?: unknown): Promise<Answer>;
}

export function openHand(brokers: readonly Where[], token: string, random: Random): Hand {
  const idle = new Map<Where, Line[]>(brokers.map((broker) => [broker, []]));
  const open = new Set<Line>();

  async function asks(method: string, path: string, body?: unknown): Promise<Answer> {
    const broker = random.pick(brokers);
    // Each in its turn: one that rests for long is closed.
    const lines = idle.get(broker) as Line[];
    const line = lines.shift() ?? (await openLine(portOf(broker)));
    open.add(line);
    const answer = await line.send(requestBytes({ method, path, token, body }));
    lines.push(line);
    return answer;
  }

  return {
    asks,
    async does(method, path, body) {
      for (;;) {
        const answer = await asks(method, path, body);
        if (answer.status >= 200 && answer.status <= 299) return answer;
        if (answer.status !== 503) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
        await delay(retryDelayMs);
      }
    },
    [Symbol.dispose]() {
      for (const line of open) line[Symbol.dispose]();
    },
  };
}

// Load for fault campaigns: clients that write rising numbers into properties of their own, and know what was answered.
// In: where to, whose nodes, how many. Out: what was sent, acknowledged and refused, by property.
// Never: a number sent twice, or a guess about an answer that did not come.
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, type Line, openLine, requestBytes } from "../../bench/lean-http.ts";
import { nodePath, propertyPath } from "../conversations/person.ts";
import { until } from "../store/embedded.ts";
import { type Entry, type Owner, portOf, type Target, type Where } from "./targets.ts";

export interface Answered {
  readonly status: number;
  readonly sentMs: number;
  readonly tookMs: number;
}

/** The answers that were waited for at some time between these two. */
export function between(answers: readonly Answered[], fromMs: number, toMs: number): Answered[] {
  return answers.filter(({ sentMs, tookMs }) => sentMs < toMs && sentMs + tookMs > fromMs);
}

export function slowestMs(answers: readonly Answered[]): number {
  return answers.reduce((slowest, { tookMs }) => Math.max(slowest, tookMs), 0);
}

export interface Load {
  readonly targets: readonly Target[];
  /** Writes that were acknowledged. */
  readonly acked: number;
  /** Writes whose outcome nobody knows: the connection broke. */
  readonly unanswered: number;
  readonly answers: readonly Answered[];
  /** What no broker may do, whatever happens to it. */
  readonly surprises: readonly string[];
  /** Resolves when so many more writes are acknowledged. */
  more(count: number): Promise<void>;
  /** Resolves when every client was answered with a 2xx once more. */
  everyone(): Promise<void>;
  /** Connections may break until this is done; then the clients come back. */
  during<T>(outage: () => Promise<T>): Promise<T>;
  /** Ends the writing; what is under way is waited for. */
  stop(): Promise<void>;
}

const patienceMs = 10_000;
/** Less than Retry-After asks for, so that a broker that says no is asked often. */
const retryDelayMs = 25;
const surprisesMax = 20;
/** Then a property is left alone for a while: what is lost or unheard at one moment shows until the end. */
const writesInARow = 3;

/** @param padding characters that make each value longer */
export function startLoad(at: Where, owner: Owner, targets: readonly Target[], padding = 0): Load {
  const pad = "x".repeat(padding);
  const answers: Answered[] = [];
  const surprises: string[] = [];
  const lastAckMs = targets.map(() => 0);
  let acked = 0;
  let unanswered = 0;
  let outage: Promise<unknown> | undefined;
  let stopping = false;

  async function write({ turns }: Target, client: number): Promise<void> {
    let line: Line | undefined;
    for (let n = 1; !stopping; n++) {
      const turn = turns[Math.floor(n / writesInARow) % turns.length] as readonly Entry[];
      try {
        line ??= await openLine(portOf(at));
      } catch (error) {
        await broken(`no connection: ${(error as Error).message}`);
        continue;
      }
      for (const one of turn) one.attempted = n;
      const sentMs = performance.now();
      let answer: Answer;
      try {
        answer = await inTime(line.send(requestOf(turn, n)));
      } catch (error) {
        line[Symbol.dispose]();
        line = undefined;
        unanswered++;
        // Whatever became of it stays to be seen: the next write is another turn's.
        n += writesInARow - 1 - (n % writesInARow);
        await broken(`${turn[0]?.node} ${n}: ${(error as Error).message}`);
        continue;
      }
      answers.push({ status: answer.status, sentMs, tookMs: performance.now() - sentMs });
      if (answer.status === 200 || answer.status === 201) {
        take(turn, n, answer);
        lastAckMs[client] = performance.now();
      } else {
        refuse(turn, n, answer);
        await delay(retryDelayMs);
      }
    }
    line?.[Symbol.dispose]();
  }

  function requestOf(turn: readonly Entry[], n: number): Buffer {
    const { token } = owner;
    const value = padding > 0 ? { n, pad } : { n };
    const [only] = turn as readonly [Entry];
    if (turn.length === 1)
      return requestBytes({
        method: "PUT",
        path: propertyPath(only.node, only.name),
        token,
        body: { value },
      });
    const set = Object.fromEntries(turn.map(({ name }) => [name, { value }]));
    return requestBytes({ method: "PATCH", path: nodePath(only.node), token, body: { set } });
  }

  function take(turn: readonly Entry[], n: number, { body }: Answer): void {
    acked++;
    const answer = JSON.parse(body);
    for (const one of turn) {
      const { value, revision } = turn.length === 1 ? answer : answer.properties[one.name];
      if (value.n !== n) surprise(`${one.node} ${one.name}: ${n} was answered with ${value.n}`);
      if (revision <= one.revision)
        surprise(`${one.node} ${one.name}: revision ${revision} after ${one.revision}`);
      one.acked = n;
      one.revision = revision;
    }
  }

  function refuse(turn: readonly Entry[], n: number, { status, head, body }: Answer): void {
    const isProblem = /\r\ncontent-type: application\/problem\+json/i.test(head);
    if ((status !== 503 && status !== 507) || !isProblem || !/\r\nretry-after: \d+/i.test(head))
      surprise(`${turn[0]?.node} ${n}: ${status} ${body}`);
    // Any other refusal leaves it open whether the change happened.
    if (status === 507 || /nothing was changed/i.test(body)) for (const one of turn) one.refused.add(n);
  }

  async function broken(what: string): Promise<void> {
    if (stopping || outage !== undefined) await outage;
    else {
      surprise(what);
      await delay(retryDelayMs);
    }
  }

  function surprise(what: string): void {
    if (surprises.length < surprisesMax) surprises.push(what);
  }

  const writing = Promise.all(targets.map(write));
  return {
    targets,
    answers,
    surprises,
    get acked() {
      return acked;
    },
    get unanswered() {
      return unanswered;
    },
    async more(count) {
      const goal = acked + count;
      await until(`${count} more acks`, () => acked >= goal);
    },
    async everyone() {
      const sinceMs = performance.now();
      await until("an ack for every client", () => lastAckMs.every((ms) => ms > sinceMs));
    },
    async during(happens) {
      const happening = happens();
      outage = happening.catch(() => undefined);
      try {
        return await happening;
      } finally {
        outage = undefined;
      }
    },
    async stop() {
      stopping = true;
      await writing;
    },
  };
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${patienceMs / 1000} s`)), patienceMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
